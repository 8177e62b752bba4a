import RedisClient
import TokenCore

/// What Redis has of this deployment, and of others.
extension Inspection {
  /// Whether the account's record is one that the daemon would work with.
  func inspectRecord(
    of account: Settings.Account, _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) -> Bool {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    let key = layout.state(CredentialID(account.name))
    let token = layout.accessToken(account.name)
    let replies = try await questions.ask(
      [(RedisCommand("HMGET", key, "app", "v"), key), (RedisCommand("EXISTS", token), token)])
    // What may not be read is found with the permissions.
    guard let fields = replies[0].elements?.map(\.text), fields.count == 2 else { return true }
    if let app = fields[0], app != TokenStore.digest(account.appID) {
      guard (replies[1].number ?? 0) > 0 else {
        report.add(.good, key, "is another AppID's, whose token is over: it is taken over")
        return true
      }
      report.add(
        .bad, key,
        "is another AppID's, whose token lives: the daemon leaves such keys alone; give each AppID"
          + " its own keyPrefix, or stop the other deployment and wait until its token is over")
      return false
    }
    if let version = fields[1].flatMap({ Int($0) }), version > Script.layout {
      report.add(
        .bad, key,
        "was written by a newer version (layout \(version), known here is \(Script.layout)): this"
          + " one only follows")
    }
    return true
  }

  /// Whether the account's tickets are there; whether they are ours is told with the token.
  func inspectTickets(
    of account: Settings.Account, _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    for ticket in account.credentials where ticket.kind != .accessToken {
      let key = layout.key(.credential, ticket)
      let reply = try await questions.ask("EXISTS", key, isAboutKey: true)
      if let refusal = reply.refusal {
        report.add(.bad, key, "cannot be read: \(refusal)")
      } else {
        let exists = (reply.number ?? 0) > 0
        report.add(
          exists ? .good : .doubtful, key, exists ? "holds a ticket" : "holds no ticket yet")
      }
    }
  }

  /// Who leads, and whether it is a replica of this deployment.
  func inspectLock(
    _ questions: RedisQuestions, _ report: inout Report
  ) async throws(RedisError) {
    let layout = KeyLayout(prefix: settings.redis.keyPrefix)
    let replies = try await questions.ask(
      [
        (RedisCommand("GET", layout.leader), layout.leader),
        (RedisCommand("PTTL", layout.leader), layout.leader),
        (RedisCommand("HMGET", layout.epoch, "app", "term"), layout.epoch),
      ])
    guard let holder = replies[0].text else { return }
    let name = String(holder.prefix { $0 != ":" }.prefix(128))
    report.leader = name
    let fields = replies[2].elements?.map(\.text) ?? []
    let first = settings.accounts.min { $0.name < $1.name }
    let isForeign =
      fields.count == 2 && fields[1] == holder
      && fields[0].flatMap { app in first.map { app != TokenStore.digest($0.appID) } } ?? false
    if isForeign {
      report.add(
        .bad, layout.leader,
        "is held by \(name), which keeps another AppID first: give each deployment its own"
          + " keyPrefix")
    } else if replies[1].number == -1, fields.count < 2 || fields[1] != holder {
      report.add(
        .bad, layout.leader,
        "is held by \(name) without a time limit, and not by a replica: find out what writes it,"
          + " and delete it")
    } else {
      report.add(.good, layout.leader, "is held by \(name)")
    }
  }
}
