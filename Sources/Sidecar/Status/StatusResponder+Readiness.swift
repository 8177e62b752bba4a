import NIOHTTP1
import TokenCore

extension StatusResponder {
  /// `/readyz`, of one account or as `WCH_READY` says.
  func readiness(_ request: StatusRequest) -> StatusResponse {
    var account: AccountName?
    if let name = request.parameter("account") {
      account = name.isEmpty ? .unnamed : AccountName(written: name)
      if account == nil { return Self.malformedAccount(at: .ready) }
    }
    guard let readiness = source.readiness(of: account) else {
      return unknownAccount(at: .ready)
    }
    let body = ReadinessBody(readiness)
    return readiness.isReady
      ? .json(body)
      : .json(
        body, status: .serviceUnavailable, contentType: "application/problem+json")
  }
}

// The names below are those of the JSON that is sent.

private struct ReadinessBody: Encodable {
  let readiness: Readiness

  init(_ readiness: Readiness) { self.readiness = readiness }

  private enum CodingKeys: String, CodingKey {
    case type, title, status, detail, instance, degraded, conditions
  }

  private enum ConditionKeys: String, CodingKey {
    case id, severity, account, since, sentence, remedy, help
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    if readiness.isReady {
      try container.encode(readiness.degraded.isEmpty ? "ok" : "degraded", forKey: .status)
    } else {
      // RFC 9457.
      try container.encode(Problem.notReady.type, forKey: .type)
      try container.encode(Problem.notReady.title.english, forKey: .title)
      try container.encode(Problem.notReady.code, forKey: .status)
      try container.encode(StatusRoute.ready.path, forKey: .instance)
    }
    try container.encode(readiness.detail, forKey: .detail)
    try container.encode(readiness.degraded.map(\.description), forKey: .degraded)
    var list = container.nestedUnkeyedContainer(forKey: .conditions)
    for condition in readiness.conditions {
      var item = list.nestedContainer(keyedBy: ConditionKeys.self)
      try item.encode(condition.kind.rawValue, forKey: .id)
      try item.encode(condition.severity.rawValue, forKey: .severity)
      try item.encode(condition.account?.description, forKey: .account)
      try item.encode(condition.since.second, forKey: .since)
      try item.encode(condition.sentence(.english), forKey: .sentence)
      try item.encode(condition.remedy(.english), forKey: .remedy)
      try item.encode(condition.anchor, forKey: .help)
    }
  }
}
