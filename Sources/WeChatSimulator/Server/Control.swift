/// The control API: what tests and developers do to the simulator over HTTP, in JSON.
///
/// The documentation catalogue's article on the control API lists the requests.
struct Control: Sendable {
  typealias Answer = (status: Int, body: JSON)

  let simulator: Simulator
  let hosts: Hosts

  private static let done: Answer = (200, ["ok": true])

  /// Answers one control request.
  func answer(_ request: SimulatedRequest) async -> Answer {
    let path = request.path.split(separator: "/").map(String.init)
    let body: JSON
    if request.body.isEmpty {
      body = [:]
    } else {
      guard let parsed = JSON(parsing: request.body), case .object = parsed else {
        return Self.refused("The body is no JSON object")
      }
      body = parsed
    }
    if let refusal = Self.unknownMember(of: body, in: (request.method, path)) { return refusal }
    switch (request.method, path.first ?? "", path.count) {
    case ("GET", "judge", 1):
      let ticket = request.item("ticket")
      return (200, ticket.isEmpty ? judge(request.item("token")) : judge(ticket: ticket))
    case ("GET", "audit", 1): return (200, audit(since: request.item("since")))
    case ("DELETE", "audit", 1): simulator.clearAudit()
    case ("GET", "summary", 1): return (200, summary(of: request.item("appid")))
    case ("GET", "held", 1): return (200, ["held": .integer(Int64(simulator.heldCount))])
    case ("POST", "held", 2) where path[1] == "release":
      return (200, ["released": .integer(Int64(simulator.releaseHeld()))])
    case ("POST", "faults", 1): return addFault(body)
    case ("DELETE", "faults", 1): simulator.clearFaults()
    case ("GET", "clock", 1): return (200, clock())
    case ("POST", "clock", 1): return moveClock(body)
    case ("PUT", "latency", 1): return setLatency(body)
    case ("PUT", "wire", 1): return setWire(body)
    case ("GET", "apps", 1): return (200, apps())
    case ("PUT", "apps", 2): return putApp(path[1], body)
    case ("POST", "apps", 3) where path[2] == "events": return schedule(body, for: path[1])
    case ("PUT", "corps", 2): return putCorpApp(path[1], body)
    case ("POST", "corps", 3) where path[2] == "events": return scheduleKill(body, for: path[1])
    case ("GET", "hosts", 1):
      return (200, ["ports": .array(hosts.ports.map { .integer(Int64($0)) })])
    case ("POST", "hosts", 3): return await switchHost(path[1], to: path[2])
    default: return (404, ["error": "There is no such control request"])
    }
    return Self.done
  }

  private static func refused(_ reason: String) -> Answer { (400, ["error": .string(reason)]) }

  /// Refuses a member that the request does not have: a slip would change nothing, or too much.
  ///
  /// The members of apps are judged where they are set.
  private static func unknownMember(
    of body: JSON, in request: (method: String, path: [String])
  ) -> Answer? {
    guard case .object(let given) = body else { return nil }
    let known: [String]
    switch (request.method, request.path.first ?? "", request.path.count) {
    case ("PUT", "apps", 2), ("PUT", "corps", 2): return nil
    case ("POST", "faults", 1):
      known = ["fault", "value", "message", "commits", "path", "appid", "count", "share"]
    case ("POST", "clock", 1): known = ["rate", "advance", "skew"]
    case ("PUT", "latency", 1): known = ["min", "max"]
    case ("PUT", "wire", 1):
      known = ["suffix", "checks", "requiresEncryption", "tokenLength", "dayOffset"]
    case ("POST", "apps", 3):
      known = ["event", "after", "addresses", "secret", "killsTokens", "state", "kind", "path"]
    case ("POST", "corps", 3): known = ["event", "after", "secret"]
    default: known = []
    }
    guard let stray = given.map(\.0).first(where: { !known.contains($0) }) else { return nil }
    return refused(
      known.isEmpty
        ? "This request takes no members, such as \"\(stray)\""
        : "\"\(stray)\" is no member of this request, which has \(known.joined(separator: ", "))")
  }

  private func addFault(_ body: JSON) -> Answer {
    for (name, fits) in [
      ("path", body["path"].map { $0.string?.hasPrefix("/") ?? false }),
      ("appid", body["appid"].map { $0.string != nil }),
      ("count", body["count"].map { $0.count != nil }),
      ("share", body["share"].map { $0.share != nil }),
      ("message", body["message"].map { $0.string != nil }),
      ("commits", body["commits"].map { $0.bool != nil }),
    ] where fits == false {
      return Self.refused("The value of \"\(name)\" does not fit")
    }
    guard let fault = Fault(body) else {
      return Self.refused("\"fault\" or its \"value\" is wrong")
    }
    simulator.setFault(
      fault, endpoint: body["path"]?.string.map { .path($0) } ?? .credentials,
      appID: body["appid"]?.string, count: body["count"]?.count,
      share: body["share"]?.share ?? 1)
    return Self.done
  }

  private func moveClock(_ body: JSON) -> Answer {
    let (rate, span, skew) = (body["rate"], body["advance"], body["skew"])
    guard rate == nil || rate?.number.map({ (0...VirtualClock.maxRate).contains($0) }) == true
    else {
      return Self.refused("\"rate\" must be a number from 0 to a million")
    }
    guard span == nil || span?.span != nil else {
      return Self.refused("\"advance\" must be milliseconds, up to a year")
    }
    guard skew == nil || skew?.offset != nil else {
      return Self.refused("\"skew\" must be milliseconds, up to a year forward or back")
    }
    if let rate = rate?.number { simulator.setClockRate(rate) }
    if let span = span?.span { simulator.advance(by: span) }
    if let skew = skew?.offset { simulator.configure { $0.skew = skew } }
    return (200, clock())
  }

  private func clock() -> JSON {
    ["now": .integer(simulator.now), "rate": .double(simulator.clockRate)]
  }

  private func setLatency(_ body: JSON) -> Answer {
    guard let least = body["min"]?.count, let most = body["max"]?.count, least <= most,
      most <= 3_600_000
    else { return Self.refused("\"min\" and \"max\" must be milliseconds, in that order") }
    simulator.setLatency(least...most)
    return Self.done
  }

  private func setWire(_ body: JSON) -> Answer {
    if let name = body["suffix"]?.string {
      guard let suffix = MessageSuffix(rawValue: name) else {
        return Self.refused("There is no such suffix")
      }
      simulator.configure { $0.messageSuffix = suffix }
    }
    if let names = body["checks"] {
      guard let checks = names.strings?.map(CredentialCheck.init), !checks.contains(nil) else {
        return Self.refused("\"checks\" must be names of checks, in the order wanted")
      }
      simulator.configure { $0.checks = checks.compactMap(\.self) }
    }
    if let requires = body["requiresEncryption"]?.bool {
      simulator.configure { $0.requiresEncryption = requires }
    }
    if let length = body["tokenLength"]?.count {
      simulator.configure { $0.tokenLength = min(length, 512) }
    }
    if let offset = body["dayOffset"]?.offset { simulator.configure { $0.dayOffset = offset } }
    return Self.done
  }

  private func apps() -> JSON {
    .array(
      simulator.apps.values.sorted { $0.settings.appID < $1.settings.appID }.map { app in
        [
          "appid": .string(app.settings.appID), "mints": .integer(Int64(app.mints)),
          "legacy": simulator.newestToken(of: app.settings.appID).map { .string($0) } ?? .null,
          "stable": simulator.newestToken(of: app.settings.appID, kind: .stable)
            .map { .string($0) } ?? .null,
        ]
      })
  }

  private func putApp(_ appID: String, _ body: JSON) -> Answer {
    guard case .object(let members) = body else { return Self.done }
    guard
      var settings = simulator.settings(of: appID)
        ?? body["secret"]?.string.map({ AppSettings(appID: appID, secret: $0) })
    else { return Self.refused("A new app needs a \"secret\"") }
    for (name, value) in members where !settings.set(name, to: value) {
      return Self.refused("\(name) is no setting of an app, or its value doesn't fit")
    }
    simulator.register(settings)
    return Self.done
  }

  private func putCorpApp(_ corpID: String, _ body: JSON) -> Answer {
    guard case .object(let members) = body, let secret = body["secret"]?.string else {
      return Self.refused("A WeCom app is known by its \"secret\"")
    }
    var app =
      simulator.corpApp(corpID: corpID, secret: secret)
      ?? CorpApp(corpID: corpID, secret: secret)
    for (name, value) in members where name != "secret" && !app.set(name, to: value) {
      return Self.refused("\(name) is no setting of a WeCom app, or its value doesn't fit")
    }
    simulator.register(app)
    return Self.done
  }

  private func schedule(_ body: JSON, for appID: String) -> Answer {
    guard let event = OperatorEvent(body) else {
      return Self.refused("There is no such event, or something is missing in it")
    }
    guard simulator.settings(of: appID) != nil else { return Self.refused("There is no such app") }
    simulator.schedule(event, for: appID, after: body["after"]?.span ?? 0)
    return Self.done
  }

  private func scheduleKill(_ body: JSON, for corpID: String) -> Answer {
    guard body["event"]?.string == "killCurrentToken", let secret = body["secret"]?.string else {
      return Self.refused(
        "What can happen to a WeCom app, known by its \"secret\", is that its "
          + "token is killed: \"killCurrentToken\"")
    }
    guard let app = simulator.corpApp(corpID: corpID, secret: secret) else {
      return Self.refused("There is no such WeCom app")
    }
    simulator.killToken(of: app.id, after: body["after"]?.span ?? 0)
    return Self.done
  }

  private func switchHost(_ number: String, to state: String) async -> Answer {
    guard let host = Int(number), hosts.ports.indices.contains(host) else {
      return Self.refused("There is no such host")
    }
    switch state {
    case "down": await hosts.takeDown(host)
    case "up":
      do { try await hosts.bringUp(host) } catch {
        return (500, ["error": "The host's port is taken"])
      }
    default: return Self.refused("A host goes \"up\" or \"down\"")
    }
    return Self.done
  }

  private func judge(_ token: String) -> JSON {
    switch simulator.judge(token) {
    case .live: ["live": true]
    case .dead(let code): ["live": false, "errcode": .integer(Int64(code))]
    }
  }

  private func judge(ticket: String) -> JSON {
    ["live": .bool(simulator.accepts(ticket: ticket))]
  }

  private func audit(since: String) -> JSON {
    let first = Int(since) ?? 0
    let audit = simulator.audit
    return [
      "count": .integer(Int64(audit.count)),
      "events": .array(audit.events.filter { $0.number >= first }.map(\.json)),
    ]
  }

  private func summary(of appID: String) -> JSON {
    let audit = simulator.audit
    let app = appID.isEmpty ? nil : appID
    return [
      "mints": .integer(Int64(audit.mints(of: app).count)),
      "maxParallelFetches": .integer(Int64(audit.maxParallelFetches(of: app))),
      "minimumMintSpacing": audit.minimumMintSpacing(of: app).map { .integer($0) } ?? .null,
      "callsInOverlap": .integer(Int64(audit.callsInOverlap(of: app).count)),
      "callsWithDeadTokens": .integer(Int64(audit.callsWithDeadTokens(of: app).count)),
    ]
  }
}

extension Fault {
  /// Reads a fault such as `{"fault":"mintThenHold"}` or `{"fault":"errcode","errcode":40013}`.
  init?(_ json: JSON) {
    let value = json["value"]
    let commits = json["commits"]?.bool
    switch json["fault"]?.string {
    case "mintThenHold": self = .mintThenHold
    case "mintThenDrop": self = .mintThenDrop
    case "dropBeforeMint": self = .dropBeforeMint
    case "mintThenReset": self = .mintThenReset
    case "resetBeforeMint": self = .resetBeforeMint
    case "holdBeforeMint": self = .holdBeforeMint
    case "truncatedBody": self = .truncatedBody
    case "emptyBody": self = .emptyBody
    case "html": self = .html
    case "errcode":
      guard let code = value?.integer else { return nil }
      self = .errorCode(Int(code), message: json["message"]?.string)
    case "status":
      guard let status = value?.integer, (100...599).contains(status) else { return nil }
      self = .status(Int(status), afterMint: commits ?? false)
    case "body":
      guard let text = value?.string else { return nil }
      self = .body(text, commits: commits ?? true)
    case "slowLoris":
      guard let interval = value?.integer, (1...60_000).contains(interval) else { return nil }
      self = .slowLoris(interval: Int(interval))
    case "delay":
      guard let delay = value?.integer, (0...3_600_000).contains(delay) else { return nil }
      self.init(commits: true, effect: .delay(Int(delay)))
    case "redirect":
      guard let location = value?.string else { return nil }
      self.init(commits: false, effect: .redirect(location))
    default: return nil
    }
  }
}

extension AuditEvent {
  /// The event as the control API shows it.
  var json: JSON {
    [
      "number": .integer(Int64(number)), "time": .integer(time), "path": .string(path),
      "appid": appID.map { .string($0) } ?? .null, "errcode": .integer(Int64(code)),
      "token": token.map { .string($0) } ?? .null, "minted": .bool(minted),
      "ticket": ticket.map { .string($0) } ?? .null,
      "tokenUse": tokenUse.map { .string($0.rawValue) } ?? .null,
      "parallel": .integer(Int64(parallel)), "faulty": .bool(fault != nil),
      "secretInURL": .bool(hasSecretInURL), "clientAddress": .string(clientAddress),
    ]
  }
}
