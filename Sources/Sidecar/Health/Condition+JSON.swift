import TokenCore

extension Condition: Encodable {
  private enum CodingKeys: String, CodingKey {
    case kind = "id"
    case severity, account, since, title, sentence, remedy, observer, facts
    case anchor = "help"
  }

  private enum Language: String, CodingKey {
    case english = "en"
    case chinese = "zh"
  }

  // Every member is always there, null when unknown.
  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(kind.rawValue, forKey: .kind)
    try container.encode(severity.rawValue, forKey: .severity)
    try container.encode(account?.description, forKey: .account)
    try container.encode(since.second, forKey: .since)
    for (key, text) in [(CodingKeys.sentence, sentence), (.remedy, remedy)] {
      var words = container.nestedContainer(keyedBy: Language.self, forKey: key)
      try words.encode(text(.english), forKey: .english)
      try words.encode(text(.chinese), forKey: .chinese)
    }
    try container.encode(observer, forKey: .observer)
    try container.encode(anchor, forKey: .anchor)
    try container.encode(facts, forKey: .facts)
  }
}

extension Condition.Facts: Encodable {
  private enum CodingKeys: String, CodingKey {
    case code = "errcode"
    case reason
    case requestID = "rid"
    case address, count
    case lastAt = "last_at"
    case nextAt = "next_attempt_at"
    case endsAt = "ends_at"
    case instance, subject, cause
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(code, forKey: .code)
    try container.encode(reason, forKey: .reason)
    try container.encode(requestID, forKey: .requestID)
    try container.encode(address, forKey: .address)
    try container.encode(count, forKey: .count)
    try container.encode(lastAt?.second, forKey: .lastAt)
    try container.encode(nextAt?.second, forKey: .nextAt)
    try container.encode(endsAt?.second, forKey: .endsAt)
    try container.encode(instance, forKey: .instance)
    try container.encode(subject, forKey: .subject)
    try container.encode(cause?.rawValue, forKey: .cause)
  }
}

extension Observation.Heard: Encodable {
  private enum CodingKeys: String, CodingKey {
    case instance
    case isLeader = "leads"
    case age = "seen_seconds_ago"
    case version
    case startedAt = "started_at"
    case conditions
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(instance, forKey: .instance)
    try container.encode(isLeader, forKey: .isLeader)
    try container.encode(Int64(age.inSeconds), forKey: .age)
    try container.encode(report?.version, forKey: .version)
    try container.encode(report?.startedAt.second, forKey: .startedAt)
    try container.encode(
      report.map { Array(Set($0.conditions.map(\.kind.rawValue))).sorted() }, forKey: .conditions)
  }
}
