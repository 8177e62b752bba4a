import RedisClient
import TokenCore

/// A script's answer: a word, and the fields that belong to it.
struct ScriptReply {
  private let fields: [RedisReply]
  private let word: String

  /// What the record states after the step, where that was asked for.
  let statedLife: StatedLife?

  /// Nil when the reply is not an array that starts with a word, or with an array that does.
  init?(_ reply: RedisReply) {
    guard var elements = reply.elements else { return nil }
    var life: StatedLife?
    if let step = elements.first?.elements {
      life = elements.count == 2 ? ScriptReply(elements[1])?.life : nil
      elements = step
    }
    guard let word = elements.first?.text else { return nil }
    fields = elements
    statedLife = life
    self.word = word
  }

  /// The answer as the core knows it; nil for a word or a field that it does not know.
  var storeReply: StoreReply? {
    switch word {
    case "acquired": integer(1).map { .acquired(Epoch($0)) }
    case "held": text(1).map { .held(holder: $0, remaining: .milliseconds(integer(2) ?? 0)) }
    case "renewed": .renewed
    case "lost": .lost
    case "released": .released
    case "account": view.map { .account($0) }
    case "fenced": integer(1).map { .fenced(Epoch($0)) }
    case "foreign": .foreignApp(remaining: milliseconds(1))
    case "newer": integer(1).map { .newerLayout(Int($0)) }
    case "began":
      .began(
        BeginReceipt(
          committed: version(1), fetchesToday: Int(integer(3) ?? 0),
          at: RedisTime(milliseconds: integer(4) ?? 0),
          now: RedisTime(milliseconds: integer(5) ?? 0)))
    case "stale": .stale(committed: version(1) ?? Version(epoch: .none, sequence: 0))
    case "resolved": .resolved
    case "committed": .committed(isCertain: integer(1) == 1)
    case "superseded": integer(1).map { .superseded(Epoch($0)) }
    case "deposed": integer(1).map { .deposed(Epoch($0)) }
    case "republished": .republished(wrote: integer(1) == 1)
    case "marked": .marked
    case "inorder": .inOrder
    case "settled": .settled
    case "replicas": replicas
    default: nil
    }
  }

  private var life: StatedLife? {
    guard word == "life", let now = time(1) else { return nil }
    return StatedLife(
      now: now, committed: version(2), end: time(4), lifetime: .milliseconds(integer(5) ?? 0))
  }

  /// The answer about an output that lies in a slot of its own.
  var apartReply: ApartReply? {
    switch word {
    case "held":
      time(1).map { .held(HeldOutput(text: text(3), remaining: milliseconds(2)), now: $0) }
    case "shortened": .shortened
    case "placed": .placed(wrote: integer(1) == 1)
    case "outranked": integer(1).map { .outranked(Epoch($0)) }
    default: nil
    }
  }

  /// What `view` in `record.lua` tells: the time, the record's fields, and of each output what it
  /// holds and how long.
  private var view: AccountView? {
    let firstOutput = place(of: .epoch) + RecordField.allCases.count
    guard fields.count >= firstOutput + 2, (fields.count - firstOutput).isMultiple(of: 2),
      let now = integer(1)
    else { return nil }
    var view = AccountView(now: RedisTime(milliseconds: now))
    view.server = text(2)
    view.fence = Epoch(integer(place(of: .epoch)) ?? 0)
    view.committed = version(place(of: .committedEpoch), place(of: .committedSequence))
    if let version = version(place(of: .intentEpoch), place(of: .intentSequence)),
      let at = time(place(of: .intentAt))
    {
      view.intent = Intent(
        version: version, at: at, kills: text(place(of: .intentKills)) != "0")
    }
    if let first = time(place(of: .doubtFirst)) {
      view.doubt = Doubt(first: first, last: time(place(of: .doubtLast)) ?? first)
    }
    view.runID = text(place(of: .runID))
    view.fetchedAt = time(place(of: .fetchedAt))
    view.expiresAt = time(place(of: .expiresAt))
    view.lifetime = integer(place(of: .lifetime)).map { .milliseconds($0) }
    view.fetchedBy = text(place(of: .fetchedBy))
    let token = held(firstOutput)
    view.token = token.text.map { AccessToken($0) }
    view.tokenRemaining = token.remaining
    view.tokenMatchesRecord =
      token.text.map { TokenStore.digest($0) == text(place(of: .digest)) } ?? false
    view.others = stride(from: firstOutput + 2, to: fields.count, by: 2).map(held)
    return view
  }

  private func place(of field: RecordField) -> Int { 3 + field.place }

  private func held(_ index: Int) -> HeldOutput {
    let text = text(index)
    return HeldOutput(text: text, remaining: text == nil ? nil : milliseconds(index + 1))
  }

  private var replicas: StoreReply? {
    guard let now = integer(1) else { return nil }
    let found = stride(from: 2, to: fields.count - 5, by: 6).compactMap { index -> Replica? in
      guard let name = text(index), let instance = InstanceID(name), let seen = integer(index + 1)
      else { return nil }
      let abdicated = integer(index + 3) ?? 0
      return Replica(
        instance: instance, isLeader: integer(index + 2) == 1,
        seenAt: RedisTime(milliseconds: seen),
        abdicatedAt: abdicated > 0 ? RedisTime(milliseconds: abdicated) : nil,
        life: text(index + 4).flatMap { UInt64($0, radix: 16) }, said: text(index + 5))
    }
    return .replicas(found, now: RedisTime(milliseconds: now))
  }

  /// A field's text; nil when it is empty or absent.
  private func text(_ index: Int) -> String? {
    guard fields.indices.contains(index), let text = fields[index].text, !text.isEmpty else {
      return nil
    }
    return text
  }

  private func integer(_ index: Int) -> Int64? {
    guard fields.indices.contains(index) else { return nil }
    return fields[index].number ?? text(index).flatMap { Int64($0) }
  }

  /// A moment of Redis's clock.
  private func time(_ index: Int) -> RedisTime? {
    integer(index).map { RedisTime(milliseconds: $0) }
  }

  /// A life in milliseconds; nil for Redis's -1 (no TTL) and -2 (no key).
  private func milliseconds(_ index: Int) -> Duration? {
    guard let value = integer(index), value >= 0 else { return nil }
    return .milliseconds(value)
  }

  /// Two fields, epoch and number, the second after the first; nil when there is none.
  private func version(_ index: Int, _ second: Int? = nil) -> Version? {
    guard let epoch = integer(index), epoch > 0, let sequence = integer(second ?? index + 1)
    else { return nil }
    return Version(epoch: Epoch(epoch), sequence: sequence)
  }
}
