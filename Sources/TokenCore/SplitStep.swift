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
    var output: Output?
    var isAnswered = false
  }

  private let command: StoreCommand
  private let number: Int64
  private let outputs: [Output]
  private let apart: [Output]
  private var sent: [Sent] = []
  private var held: [Output.Key: HeldOutput] = [:]
  /// What the step itself was answered.
  private var reply: StoreReply?
  /// Of the outputs that lie apart, which could not be read or written, and why.
  package private(set) var failures: [Output.Key: StoreFailure] = [:]

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
    case .look, .takeOver:
      // At once, so that a slot that hangs holds nothing up; what is written in between looks
      // damaged, and is found to be right by what would mend it.
      return send([step] + apart.map { .apart(.read(account, $0.key)) })
    case .begin, .resolve, .commit, .republish, .mark, .pollLock, .acquire, .renew, .release,
      .heartbeat:
      return send([step])
    }
  }

  /// A call was answered, or failed.
  ///
  /// - Parameter elapsed: how long ago the step itself was sent, if it was: by so much the life
  ///   that it tells may be shorter by now.
  package mutating func answered(
    _ call: Int, _ result: Result<Reply, StoreFailure>, after elapsed: Duration = .zero
  ) -> Turn {
    guard sent.indices.contains(call), !sent[call].isAnswered else { return .waits }
    sent[call].isAnswered = true
    guard let output = sent[call].output else {
      switch result {
      case .success(.step(let reply, let life)): return follow(reply, life, after: elapsed)
      case .success(.apart): return .ends(.failure(.strangeAnswer))
      case .failure(let failure): return .ends(.failure(failure))
      }
    }
    take(result, of: output)
    return goOn()
  }

  /// Its time is over: what was not answered has failed.
  package mutating func end(_ failure: StoreFailure) -> Result<StoreReply, StoreFailure> {
    for call in sent.indices where !sent[call].isAnswered {
      if case .ends(let result) = answered(call, .failure(failure)) { return result }
    }
    return .failure(failure)
  }

  private func goOn() -> Turn {
    guard let reply, sent.allSatisfy(\.isAnswered) else { return .waits }
    return .ends(.success(merged(reply)))
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

  /// The step is done: what lies apart follows.
  private mutating func follow(
    _ reply: StoreReply, _ life: StatedLife?, after elapsed: Duration
  ) -> Turn {
    self.reply = reply
    let calls = apart.isEmpty ? [] : following(reply, life, after: elapsed)
    return calls.isEmpty ? goOn() : send(calls)
  }

  private func following(
    _ reply: StoreReply, _ life: StatedLife?, after elapsed: Duration
  ) -> [Call] {
    guard let life, let end = life.end else { return [] }
    let left = end - life.now - elapsed
    func shorten(_ rank: Rank?) -> [Call] {
      apart.map { output in
        .apart(
          .shorten(
            .init(
              account: account, output: output.key, rank: rank,
              text: output.expiry(end: end, lifetime: life.lifetime), left: left)))
      }
    }
    func place(_ token: AccessToken, _ fence: Epoch) -> [Call] {
      apart.map { output in
        .apart(
          .place(
            .init(
              account: account, output: output.key, rank: Rank(epoch: fence, number: number),
              text: output.text(of: token, end: end, lifetime: life.lifetime), left: left,
              tolerance: RemainingTolerance.ofTTL(lifetime: life.lifetime))))
      }
    }
    switch (command, reply) {
    case (.takeOver(let takeOver), .account):
      return shorten(Rank(epoch: takeOver.epoch, number: number))
    case (.begin(let begin), .began):
      return shorten(Rank(epoch: begin.version.epoch, number: number))
    case (.commit(let commit), .committed): return place(commit.token, commit.fence)
    case (.commit, .deposed), (.commit, .stale), (.mark, .marked): return shorten(nil)
    case (.republish(let republish), .republished) where life.committed == republish.version:
      return place(republish.token, republish.fence)
    default: return []
    }
  }

  // MARK: What was answered

  private mutating func take(_ result: Result<Reply, StoreFailure>, of output: Output) {
    switch result {
    case .success(.apart(.held(let held))): self.held[output.key] = held
    case .success(.apart(.shortened)), .success(.apart(.placed(wrote: false))): break
    case .success(.apart(.placed(wrote: true))):
      if case .republished = reply { reply = .republished(wrote: true) }
    case .success(.apart(.outranked(let epoch))):
      guard let reply, let own = fence, epoch > own else { return }
      // Another replica has led since, as that slot has it.
      if case .committed = reply {
        self.reply = .superseded(epoch)
      } else {
        self.reply = .fenced(epoch)
      }
    case .success(.step): failures[output.key] = .strangeAnswer
    case .failure(let failure): failures[output.key] = failure
    }
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
      return held[output.key] ?? .unread
    }
    return .account(view)
  }
}

/// What is done with one output in a slot of its own.
package enum ApartCommand: Hashable, Sendable {
  /// What the key holds, and for how long.
  case read(CredentialID, Output.Key)
  /// Brings the key's end forward, never back.
  case shorten(Shorten)
  /// Writes the key, unless what a later leader or a later step wrote is there.
  case place(Place)

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
    package let left: Duration
    /// How far the life of a key may be off that is left alone.
    package let tolerance: Duration

    package init(
      account: CredentialID, output: Output.Key, rank: Rank, text: String, left: Duration,
      tolerance: Duration
    ) {
      self.account = account
      self.output = output
      self.rank = rank
      self.text = text
      self.left = left
      self.tolerance = tolerance
    }
  }

  package var output: Output.Key {
    switch self {
    case .read(_, let output): output
    case .shorten(let shorten): shorten.output
    case .place(let place): place.output
    }
  }

  package var account: CredentialID {
    switch self {
    case .read(let account, _): account
    case .shorten(let shorten): shorten.account
    case .place(let place): place.account
    }
  }
}

/// What an output's slot answered.
package enum ApartReply: Hashable, Sendable {
  case held(HeldOutput)
  case shortened
  /// Whether anything had to be written.
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
