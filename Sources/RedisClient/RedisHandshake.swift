import NIOCore

/// The commands that begin a connection, sent in one write, and what their replies mean.
struct RedisHandshake: Sendable {
  private var steps: [(command: RedisCommand, wire: ByteBuffer)]
  /// What is left out since the server hangs up on it.
  private var leftOut: [String] = []
  private let address: RedisEndpoint.Address
  /// Whether whose `run_id` that is tells anything of where the keys are.
  private let isOneOfMany: Bool
  var count: Int { steps.count }

  /// All of it, as it goes over the wire.
  var encoded: ByteBuffer {
    var all = ByteBuffer()
    for step in steps { all.writeImmutableBuffer(step.wire) }
    return all
  }

  /// - Parameter address: to which of the endpoint's servers the connection leads.
  init(
    endpoint: RedisEndpoint, address: RedisEndpoint.Address, password: String?,
    clientName: String?, asksWhoItIs: Bool = true
  ) throws(RedisFailure) {
    self.address = address
    isOneOfMany = endpoint.topology.isCluster
    var steps: [RedisCommand] = []
    switch (endpoint.username, password) {
    case (nil, nil): break
    case (nil, let password?): steps.append(RedisCommand("AUTH", password))
    // A user that needs no password is entered with any.
    case (let user?, let password): steps.append(RedisCommand("AUTH", user, password ?? ""))
    }
    if endpoint.database != 0 { steps.append(RedisCommand("SELECT", "\(endpoint.database)")) }
    if let clientName { steps.append(RedisCommand("CLIENT", "SETNAME", clientName)) }
    if asksWhoItIs { steps.append(RedisCommand("INFO", "server")) }
    // INFO answers while the data set is being loaded; PING is refused then.
    steps.append(RedisCommand("PING"))
    // Sentinels name a replica for a moment before it is promoted, and after it was demoted. Some
    // services refuse ROLE.
    if case .sentinel = endpoint.topology {
      steps += [RedisCommand("ROLE"), RedisCommand("INFO", "replication")]
    }
    self.steps = []
    for step in steps { self.steps.append((step, try ByteBuffer(commands: [step]))) }
  }

  /// The same without some commands.
  func without(_ names: [String]) -> RedisHandshake {
    var rest = self
    rest.steps.removeAll { names.contains(Self.name(of: $0.command)) }
    rest.leftOut = names
    return rest
  }

  /// What it consists of, for people.
  var names: String {
    var names: [String] = []
    for name in steps.map({ Self.name(of: $0.command) }) where !names.contains(name) {
      names.append(name)
    }
    return names.joined(separator: ", ")
  }

  private static func name(of command: RedisCommand) -> String {
    String(decoding: command.arguments[0], as: UTF8.self)
  }

  /// Judges the replies in order; the first refusal that matters is thrown.
  ///
  /// `CLIENT`, `INFO`, `PING` and `ROLE` may be refused by an ACL or a proxy, and are not needed:
  /// a replica that cannot be told by its role shows itself by `READONLY`.
  func judge(_ replies: [RedisReply]) throws(RedisFailure) -> RedisServerInfo {
    var infos: [RedisReply] = []
    var role: String?
    var lacking = leftOut.map { LackingCommand($0, .hungUp(commands: $0)) }
    for (step, reply) in zip(steps, replies) {
      let name = Self.name(of: step.command)
      if name == "INFO" { infos.append(reply) }
      if name == "ROLE" { role = reply.elements?.first?.text }
      guard let refusal = reply.refusal else { continue }
      switch (name, refusal.kind) {
      case (_, .noAuth), (_, .wrongPassword), ("AUTH", _): throw .authenticationFailed(refusal)
      case (_, .loading), (_, .busy), (_, .masterDown): throw .notReady(refusal)
      case ("SELECT", _): throw .refused(command: name, refusal)
      // Neither PING nor a second INFO is of use to anybody.
      case ("PING", _): break
      default:
        guard !lacking.contains(where: { $0.name == name }) else { break }
        lacking.append(LackingCommand(name, .refused(command: name, refusal)))
      }
    }
    if infos.count > 1 {
      let role = role ?? RedisServerInfo.value("role", in: infos[1])
      switch role {
      case nil, "master": break
      case "slave": throw .notPrimary("\(address)", role: "replica")
      case let role?: throw .notPrimary("\(address)", role: String(role.prefix(32)))
      }
    }
    return RedisServerInfo(
      info: infos.first, address: address, lacking: lacking, tellsRunID: !isOneOfMany)
  }
}
