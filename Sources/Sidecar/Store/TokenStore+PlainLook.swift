import RedisClient
import TokenCore

/// Where Redis runs no scripts nobody leads through it, for nothing else carries the fences; what
/// others publish there can still be read.
extension TokenStore {
  /// LOOK, by commands that read where scripts are not run.
  func look(
    _ look: StoreCommand.Look, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> Answer {
    do throws(StoreFailure) {
      return try await publish(Steps.look, look, by: deadline)
    } catch {
      guard error.kind == .scripts || error.kind == .permission,
        let answer = try await plainLook(look, by: deadline)
      else { throw error }
      return Answer(reply: answer)
    }
  }

  private static let recordNames =
    ["app", "v", "dirty", "sweep"] + RecordField.allCases.map(\.rawValue)

  /// - Returns: nil where Redis refuses that, too.
  private func plainLook(
    _ look: StoreCommand.Look, by deadline: ContinuousClock.Instant
  ) async throws(StoreFailure) -> StoreReply? {
    let keys = context.keys(look.account, look.outputs)
    let record: (RedisCommand, String?) =
      (RedisCommand("HMGET", [keys[0]] + Self.recordNames), keys[0])
    let outputs: [(RedisCommand, String?)] = keys.dropFirst().flatMap {
      [(RedisCommand("GET", $0), $0), (RedisCommand("PTTL", $0), $0)]
    }
    // Twice: what another replica has written in between is seen whole the next time.
    let replies = try await send(
      each: [(RedisCommand("TIME"), keys[0]), record] + outputs + [record], by: deadline)
    // A key of a wrong type holds no token, and is told as one that does not.
    if replies.prefix(4).contains(where: { ($0.refusal?.kind ?? .wrongType) != .wrongType }) {
      return nil
    }
    guard replies[1] == replies[replies.count - 1] else {
      throw StoreFailure(
        mayHaveRun: false, reason: "the record was written while it was read", kind: .other)
    }
    guard let answer = Self.answer(replies, app: context.app(look.account)) else {
      throw StoreFailure(
        mayHaveRun: false, reason: "Redis answered in a form unknown here", kind: .other)
    }
    return answer
  }

  /// What LOOK would have answered.
  private static func answer(_ replies: [RedisReply], app: TokenDigest) -> StoreReply? {
    let time = (replies[0].elements ?? []).compactMap(\.number)
    guard time.count == 2, let fields = replies[1].elements, fields.count == recordNames.count
    else { return nil }
    let own = fields.prefix(4).map(\.text)
    if let recorded = own[0], recorded != app {
      let left = replies[3].number ?? -2
      return .foreignApp(remaining: left < 0 ? nil : .milliseconds(left))
    }
    if let layout = own[1].flatMap({ Int($0) }), layout > Script.layout {
      return .newerLayout(layout)
    }
    let now = RedisReply.integer(time[0] * 1000 + time[1] / 1000)
    var record = fields.dropFirst(4).map { $0.text == nil ? RedisReply.bulk([]) : $0 }
    // A trace of version 1 is a doubt: TAKEOVER tells since when.
    if own[2] != nil || own[3] != nil {
      if record[RecordField.doubtFirst.place].text?.isEmpty ?? true {
        record[RecordField.doubtFirst.place] = now
      }
      record[RecordField.doubtLast.place] = now
      record[RecordField.runID.place] = .bulk([])
    }
    let word = RedisReply.bulk(Array("account".utf8))
    let outputs = replies.dropFirst(2).dropLast().map { $0.refusal == nil ? $0 : .bulk([]) }
    return ScriptReply(.array([word, now, .bulk([])] + record + outputs))?.storeReply
  }
}
