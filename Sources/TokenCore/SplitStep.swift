/// One step of the protocol at a Redis that keeps an account's keys in several slots
/// (TokenCore.md#keys-apart): the step itself in the record's slot, and around it calls for each
/// output that lies in another one.
///
/// A value that says what is sent next and what the step came to; whoever carries it out brings an
/// answer to each call. What is wrong with an output apart fails no step: the next look mends it.
package struct SplitStep: Sendable {
  /// What is sent to one slot.
  package enum Call: Hashable, Sendable {
    /// The step, less the outputs that lie apart; its answer is to tell the stated life.
    case step(StoreCommand)
    case apart(ApartCommand)
  }

  /// What a call was answered.
  package enum Reply: Hashable, Sendable {
    case step(StoreReply, StatedLife?)
    case apart(ApartReply)
  }

  /// How it goes on.
  package enum Turn: Hashable, Sendable {
    /// Other answers are still to come.
    case waits
    /// These are sent now, all at once, and numbered from here on.
    case sends([Call], from: Int)
    case ends(Result<StoreReply, StoreFailure>)
  }

  /// A call that is under way, and about which of the outputs it is.
  private struct Sent {
    let output: Output?
    var isAnswered = false
  }

  private let command: StoreCommand
  private let number: Int64
  private let outputs: [Output]
  private let apart: [Output]
  private var sent: [Sent] = []
  /// What is apart, as it was found, and the time of its server then.
  private var found: [Output.Key: (held: HeldOutput, now: RedisTime)] = [:]
  /// What the step itself was answered.
  private var reply: StoreReply?
  private var life: StatedLife?
  /// Of the outputs that lie apart, which could not be read or written, and why; and which could.
  package private(set) var failures: [Output.Key: StoreFailure] = [:]
  package private(set) var reached: Set<Output.Key> = []

  /// - Parameters:
  ///   - number: grows from step to step of one leader: what comes late is told by it.
  ///   - isApart: whether an output lies in another slot than the record.
  package init(_ command: StoreCommand, number: Int64, isApart: (Output) -> Bool) {
    self.command = command
    self.number = number
    outputs = command.outputs
    apart = outputs.filter(isApart)
  }

  /// What is sent first.
  package mutating func begin() -> Turn {
    switch command.kind {
    case .look, .takeOver, .commit, .republish:
      // At once, so that a slot that hangs holds nothing up; what is written in between looks
      // damaged, and is found to be right by what would mend it.
      return send([step] + apart.map { .apart(.read(.init(account: account, output: $0.key))) })
    case .begin, .resolve, .mark, .pollLock, .acquire, .renew, .release,
      .heartbeat:
      return send([step])
    }
  }

  /// A call was answered, or failed.
  package mutating func answered(_ call: Int, _ result: Result<Reply, StoreFailure>) -> Turn {
    guard sent.indices.contains(call), !sent[call].isAnswered else { return .waits }
    sent[call].isAnswered = true
    let calls: [Call]
    if let output = sent[call].output {
      calls = take(result, of: output)
    } else {
      switch result {
      case .success(.step(let reply, let life)):
        (self.reply, self.life) = (reply, life)
        calls = apart.flatMap { shortening($0) + placing($0) }
      case .success(.apart): return .ends(.failure(.strangeAnswer))
      case .failure(let failure): return .ends(.failure(failure))
      }
    }
    if !calls.isEmpty { return send(calls) }
    guard let reply, sent.allSatisfy(\.isAnswered) else { return .waits }
    return .ends(.success(merged(reply)))
  }

  /// Its time is over: what was not answered has failed.
  package mutating func end(_ failure: StoreFailure) -> Result<StoreReply, StoreFailure> {
    for call in sent.indices where !sent[call].isAnswered {
      if case .ends(let result) = answered(call, .failure(failure)) { return result }
    }
    return .failure(failure)
  }

  /// Until when applications trust what the step has published.
  package var clientExpiry: String? {
    guard let life, let end = life.end else { return nil }
    return outputs.lazy.compactMap { $0.expiry(end: end, lifetime: life.lifetime) }.first
  }

  // MARK: What is sent

  private var account: CredentialID { command.account ?? .unnamed }

  private var step: Call {
    guard !apart.isEmpty else { return .step(command) }
    return .step(command.with(outputs.filter { !apart.contains($0) }))
  }

  private mutating func send(_ calls: [Call]) -> Turn {
    let first = sent.count
    for call in calls {
      switch call {
      case .step: sent.append(Sent(output: nil))
      case .apart(let command):
        sent.append(Sent(output: apart.first { $0.key == command.output }))
      }
    }
    return .sends(calls, from: first)
  }

  /// What brings the end of an output forward once the record's is.
  private func shortening(_ output: Output) -> [Call] {
    guard let reply, let life, let end = life.end else { return [] }
    let rank: Rank?
    switch (command, reply) {
    case (.takeOver, .account), (.begin, .began):
      rank = fence.map { Rank(epoch: $0, number: number) }
    case (.commit, .deposed), (.commit, .stale), (.mark, .marked): rank = nil
    default: return []
    }
    return [
      .apart(
        .shorten(
          .init(
            account: account, output: output.key, rank: rank,
            text: output.expiry(end: end, lifetime: life.lifetime), left: end - life.now)))
    ]
  }

  /// What writes an output as the record has it: by the clock of its own server, so that an order
  /// that is held up states nothing longer.
  private func placing(_ output: Output) -> [Call] {
    guard let reply, let life, let end = life.end, let fence,
      let seenAt = found[output.key]?.now
    else { return [] }
    let token: AccessToken
    switch (command, reply) {
    case (.commit(let commit), .committed): token = commit.token
    case (.republish(let republish), .republished) where life.committed == republish.version:
      token = republish.token
    default: return []
    }
    return [
      .apart(
        .place(
          .init(
            account: account, output: output.key, rank: Rank(epoch: fence, number: number),
            text: output.text(of: token, end: end, lifetime: life.lifetime),
            end: seenAt + (end - life.now), notAfter: seenAt + Timing.heldUp,
            tolerance: RemainingTolerance.ofTTL(lifetime: life.lifetime))))
    ]
  }

  // MARK: What was answered

  /// Takes an answer about an output; what it allows to be sent.
  private mutating func take(
    _ result: Result<Reply, StoreFailure>, of output: Output
  ) -> [Call] {
    if case .success(.apart) = result { reached.insert(output.key) }
    switch result {
    case .success(.apart(.held(let held, let now))):
      found[output.key] = (held, now)
      return placing(output)
    case .success(.apart(.shortened)), .success(.apart(.placed(wrote: false))): break
    case .success(.apart(.placed(wrote: true))):
      if case .republished = reply { reply = .republished(wrote: true) }
    case .success(.apart(.outranked(let epoch))):
      guard let reply, let own = fence, epoch > own else { return [] }
      // Another replica has led since, as that slot has it.
      switch reply {
      case .committed: self.reply = .superseded(epoch)
      case .superseded, .fenced: break
      default: self.reply = .fenced(epoch)
      }
    case .success(.step): failures[output.key] = .strangeAnswer
    case .failure(let failure): failures[output.key] = failure
    }
    return []
  }

  /// The epoch under which it writes.
  private var fence: Epoch? {
    switch command {
    case .takeOver(let takeOver): takeOver.epoch
    case .begin(let begin): begin.version.epoch
    case .commit(let commit): commit.fence
    case .republish(let republish): republish.fence
    case .pollLock, .acquire, .renew, .release, .look, .resolve, .mark, .heartbeat: nil
    }
  }

  /// The answer as if all outputs were in one slot.
  private func merged(_ reply: StoreReply) -> StoreReply {
    guard !apart.isEmpty, case .account(var view) = reply else { return reply }
    var joined = view.others[...]
    view.others = outputs.dropFirst().map { output in
      guard apart.contains(output) else { return joined.popFirst() ?? .unread }
      return found[output.key]?.held ?? .unread
    }
    return .account(view)
  }
}

/// What is done with one output in a slot of its own.
package enum ApartCommand: Hashable, Sendable {
  /// What the key holds, and for how long.
  case read(Read)
  /// Brings the key's end forward, never back.
  case shorten(Shorten)
  /// Writes the key, unless what a later leader or a later step wrote is there.
  case place(Place)

  package struct Read: Hashable, Sendable {
    package let account: CredentialID
    package let output: Output.Key
  }

  package struct Shorten: Hashable, Sendable {
    package let account: CredentialID
    package let output: Output.Key
    /// Whose order it is; nil of a replica that need not lead.
    package let rank: Rank?
    /// What the key holds then; nil for what it does.
    package let text: String?
    /// What is left of the stated life; zero or less when it is over.
    package let left: Duration
  }

  package struct Place: Hashable, Sendable {
    package let account: CredentialID
    package let output: Output.Key
    package let rank: Rank
    package let text: String
    /// When the key ends, by the clock of its server.
    package let end: RedisTime
    /// When it is too late to write it: others may have had a word since.
    package let notAfter: RedisTime
    /// How far the life of a key may be off that is left alone.
    package let tolerance: Duration

    package init(
      account: CredentialID, output: Output.Key, rank: Rank, text: String, end: RedisTime,
      notAfter: RedisTime, tolerance: Duration
    ) {
      self.account = account
      self.output = output
      self.rank = rank
      self.text = text
      self.end = end
      self.notAfter = notAfter
      self.tolerance = tolerance
    }
  }

  package var output: Output.Key {
    switch self {
    case .read(let read): read.output
    case .shorten(let shorten): shorten.output
    case .place(let place): place.output
    }
  }

  package var account: CredentialID {
    switch self {
    case .read(let read): read.account
    case .shorten(let shorten): shorten.account
    case .place(let place): place.account
    }
  }
}

/// What an output's slot answered.
package enum ApartReply: Hashable, Sendable {
  /// What the key holds, and its server's time.
  case held(HeldOutput, now: RedisTime)
  case shortened
  /// Whether anything had to be written, and it was not too late for that.
  case placed(wrote: Bool)
  /// A later step wrote it, of that epoch.
  case outranked(Epoch)
}

/// The place of an order among all that were ever given about an output.
package struct Rank: Hashable, Comparable, Sendable {
  package var epoch: Epoch
  /// Counts the steps within it.
  package var number: Int64

  package init(epoch: Epoch, number: Int64) {
    self.epoch = epoch
    self.number = number
  }

  package static func < (first: Rank, second: Rank) -> Bool {
    (first.epoch, first.number) < (second.epoch, second.number)
  }
}

/// What the record states after a step.
package struct StatedLife: Hashable, Sendable {
  /// Redis's time of the step, in the record's slot.
  package var now: RedisTime
  package var committed: Version?
  /// When the keys are to end; nil when nothing is known of what they hold.
  package var end: RedisTime?
  /// The life that WeChat stated.
  package var lifetime: Duration

  package init(now: RedisTime, committed: Version?, end: RedisTime?, lifetime: Duration) {
    self.now = now
    self.committed = committed
    self.end = end
    self.lifetime = lifetime
  }
}
