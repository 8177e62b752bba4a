/// What a sentinel said when it was asked where the primary is.
package enum SentinelAnswer: Hashable, Sendable {
  /// - Parameters:
  ///   - epoch: of the configuration that says so; nil when the sentinel may not be asked for it.
  ///   - isDown: whether it holds that primary to be down.
  case names(RedisEndpoint.Address, epoch: UInt64?, isDown: Bool)
  /// It watches no primary of that name.
  case doesNotKnow
  case failed(RedisFailure)
}

/// What one asking of all sentinels came to.
package struct SentinelSight: Hashable, Sendable {
  /// One sentinel, and what it said; nil when it was not waited for.
  package struct Voice: Hashable, Sendable {
    package let sentinel: RedisEndpoint.Address
    package let answer: SentinelAnswer?

    package init(sentinel: RedisEndpoint.Address, answer: SentinelAnswer?) {
      self.sentinel = sentinel
      self.answer = answer
    }
  }

  /// The sentinels of the URL in its order, and those that these named beside them.
  package let voices: [Voice]
  /// Where the primary is by that, or why nobody knows.
  package let outcome: Result<RedisEndpoint.Address, RedisFailure>

  package init(voices: [Voice], outcome: Result<RedisEndpoint.Address, RedisFailure>) {
    self.voices = voices
    self.outcome = outcome
  }
}

/// The commands that ask a sentinel, in one write, and what their replies mean.
struct SentinelQuestion {
  let primary: String

  /// The address by `GET-MASTER-ADDR-BY-NAME`: while a fail-over goes on, `MASTER` shows the next
  /// epoch with the former address.
  var commands: [RedisCommand] {
    [
      RedisCommand("SENTINEL", "GET-MASTER-ADDR-BY-NAME", primary),
      RedisCommand("SENTINEL", "MASTER", primary), RedisCommand("SENTINEL", "SENTINELS", primary),
    ]
  }

  func answer(_ replies: [RedisReply]) -> SentinelAnswer {
    guard replies.count == commands.count else { return .failed(.unmatchedReply) }
    if let refusal = replies[0].refusal {
      return .failed(.refused(command: "SENTINEL GET-MASTER-ADDR-BY-NAME", refusal))
    }
    guard let place = replies[0].elements else {
      return replies[0].isNull ? .doesNotKnow : .failed(.unmatchedReply)
    }
    guard place.count == 2, let address = Self.address(place[0].text, place[1].text) else {
      return .failed(.unmatchedReply)
    }
    let fields = Self.fields(replies[1])
    let flags = (fields["flags"] ?? "").split(separator: ",")
    return .names(
      address, epoch: fields["config-epoch"].flatMap { UInt64($0) },
      isDown: flags.contains("o_down") || flags.contains("s_down"))
  }

  /// The other sentinels that this one knows, as far as it may be asked.
  func others(_ replies: [RedisReply]) -> [RedisEndpoint.Address] {
    guard replies.count == commands.count else { return [] }
    return (replies[2].elements ?? []).prefix(SentinelSet.mostSentinels).compactMap { entry in
      let fields = Self.fields(entry)
      return Self.address(fields["ip"], fields["port"])
    }
  }

  /// Names and values in turn.
  private static func fields(_ reply: RedisReply) -> [String: String] {
    let texts = (reply.elements ?? []).map(\.text)
    var fields: [String: String] = [:]
    for place in stride(from: 0, to: texts.count - 1, by: 2) {
      if let name = texts[place], let value = texts[place + 1] { fields[name] = value }
    }
    return fields
  }

  private static func address(_ host: String?, _ port: String?) -> RedisEndpoint.Address? {
    guard let host, let port = port.flatMap({ Int($0) }), (1...65_535).contains(port),
      (1...longestHost).contains(host.utf8.count),
      host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { return nil }
    return .tcp(host: host, port: port)
  }

  /// A domain name's length in text, RFC 1035.
  private static let longestHost = 253
}
