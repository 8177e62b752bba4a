/// The control API: what tests and developers do to the simulator over HTTP, in JSON.
struct Control: Sendable {
  let simulator: Simulator

  /// Status and body of the answer to a control request.
  func answer(_ request: SimulatedRequest) -> (Int, JSON) {
    let body = JSON(parsing: request.body) ?? [:]
    switch (request.method, request.path) {
    case ("GET", "/judge"): return (200, judge(request.item("token")))
    case ("GET", "/audit"): return (200, audit(since: request.item("since")))
    case ("GET", "/summary"): return (200, summary(of: request.item("appid")))
    case ("DELETE", "/audit"): simulator.clearAudit()
    case ("GET", "/held"): return (200, ["held": .integer(Int64(simulator.heldCount))])
    case ("POST", "/held/release"):
      return (200, ["released": .integer(Int64(simulator.releaseHeld()))])
    case ("POST", "/faults"):
      guard let fault = Fault(body) else { return Self.malformed("fault") }
      simulator.setFault(
        fault, endpoint: body["path"]?.string.map { .path($0) } ?? .credentials,
        appID: body["appid"]?.string, count: body["count"]?.integer.map { Int($0) })
    case ("DELETE", "/faults"): simulator.clearFaults()
    default: return (404, ["error": "There is no such control request"])
    }
    return (200, ["ok": true])
  }

  private static func malformed(_ what: String) -> (Int, JSON) {
    (400, ["error": .string("The \(what) is missing or malformed")])
  }

  private func judge(_ token: String) -> JSON {
    switch simulator.judge(token) {
    case .live: ["live": true]
    case .dead(let code): ["live": false, "errcode": .integer(Int64(code))]
    }
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
      "callsWithDeadTokens": .integer(Int64(audit.callsWithDeadTokens.count)),
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
      "parallel": .integer(Int64(parallel)), "faulty": .bool(fault != nil),
      "secretInURL": .bool(hasSecretInURL), "clientAddress": .string(clientAddress),
    ]
  }
}
