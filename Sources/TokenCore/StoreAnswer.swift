/// What Redis answered to a step: of each kind of step what it can be told, and nothing else.
package enum StoreAnswer: Hashable, Sendable {
  case pollLock(holder: String?, remaining: Duration?)
  case acquire(Term, Acquire)
  /// Whether the lock is still this term's.
  case renew(Term, isOurs: Bool)
  case release
  case look(Look)
  case takeOver(TakeOver)
  case begin(Begin)
  case resolve
  case commit(Commit)
  case republish(Republish)
  case mark(Mark)
  /// The other replicas, as of Redis's time.
  case heartbeat([Replica], now: RedisTime)

  package enum Acquire: Hashable, Sendable {
    case acquired(Epoch)
    /// Negative when the lock has no TTL.
    case held(holder: String, remaining: Duration)
    case foreignApp(remaining: Duration?)
  }

  package enum Look: Hashable, Sendable {
    case account(AccountView)
    case refused(Conflict)
  }

  package enum TakeOver: Hashable, Sendable {
    case account(AccountView)
    /// A higher epoch has the account; ours is over.
    case fenced(Epoch)
    case refused(Conflict)
  }

  package enum Begin: Hashable, Sendable {
    case began(BeginReceipt)
    /// It came after a commit of this or a later version.
    case stale(committed: Version)
    case fenced(Epoch)
    case refused(Conflict)
  }

  package enum Commit: Hashable, Sendable {
    /// The token is published; whether nothing is left that may have killed it.
    case committed(isCertain: Bool)
    /// The fence is above ours, but our token was published in its turn.
    case superseded(Epoch)
    /// The fence is above ours, and the life of what Redis has is cut short.
    case deposed(Epoch)
    /// A later version is there, or nothing is left of its life.
    case stale
    case refused(Conflict)
  }

  package enum Republish: Hashable, Sendable {
    case republished(wrote: Bool)
    case fenced(Epoch)
    case refused(Conflict)
  }

  package enum Mark: Hashable, Sendable {
    /// The fetch is part of the doubt now.
    case marked
    /// The fetch was committed in its turn.
    case inOrder
    /// What Redis has was fetched after all that it is about was over.
    case settled
  }

  /// What Redis's clock showed, where the answer tells it.
  package var redisTime: RedisTime? {
    switch self {
    case .look(.account(let view)), .takeOver(.account(let view)): view.now
    case .heartbeat(_, let now): now
    case .pollLock, .acquire, .renew, .release, .look, .takeOver, .begin, .resolve, .commit,
      .republish, .mark:
      nil
    }
  }
}

/// Why a record, or the lock, is not this replica's to work with.
package enum Conflict: Hashable, Sendable {
  /// The keys belong to another AppID, whose lock is held or whose token lives this long still.
  case foreignApp(remaining: Duration?)
  /// A newer version of this program wrote the record.
  case newerLayout(Int)

  var reason: StepDownReason {
    switch self {
    case .foreignApp: .foreignApp
    case .newerLayout: .newerLayout
    }
  }
}

extension StoreAnswer {
  /// What a script said in answer to a command; nil where that command cannot be told so.
  package init?(_ reply: StoreReply, to command: StoreCommand) {
    switch (command, reply) {
    case (.pollLock, .lock(let holder, let remaining)):
      self = .pollLock(holder: holder, remaining: remaining)
    case (.acquire(let term, _, _), let reply):
      guard let answer = Acquire(reply) else { return nil }
      self = .acquire(term, answer)
    case (.renew(let term, _), .renewed): self = .renew(term, isOurs: true)
    case (.renew(let term, _), .lost): self = .renew(term, isOurs: false)
    case (.release, .released): self = .release
    case (.look, .account(let view)): self = .look(.account(view))
    case (.look, let reply):
      guard let conflict = Conflict(reply) else { return nil }
      self = .look(.refused(conflict))
    case (.takeOver, .account(let view)): self = .takeOver(.account(view))
    case (.takeOver, .fenced(let epoch)): self = .takeOver(.fenced(epoch))
    case (.takeOver, let reply):
      guard let conflict = Conflict(reply) else { return nil }
      self = .takeOver(.refused(conflict))
    case (.begin, let reply):
      guard let answer = Begin(reply) else { return nil }
      self = .begin(answer)
    case (.resolve, .resolved): self = .resolve
    case (.commit, let reply):
      guard let answer = Commit(reply) else { return nil }
      self = .commit(answer)
    case (.republish, .republished(let wrote)): self = .republish(.republished(wrote: wrote))
    case (.republish, .fenced(let epoch)): self = .republish(.fenced(epoch))
    case (.republish, let reply):
      guard let conflict = Conflict(reply) else { return nil }
      self = .republish(.refused(conflict))
    case (.mark, .marked): self = .mark(.marked)
    case (.mark, .inOrder): self = .mark(.inOrder)
    case (.mark, .settled): self = .mark(.settled)
    case (.heartbeat, .replicas(let replicas, let now)): self = .heartbeat(replicas, now: now)
    case (.pollLock, _), (.renew, _), (.release, _), (.resolve, _), (.mark, _), (.heartbeat, _):
      return nil
    }
  }
}

extension Conflict {
  fileprivate init?(_ reply: StoreReply) {
    switch reply {
    case .foreignApp(let remaining): self = .foreignApp(remaining: remaining)
    case .newerLayout(let layout): self = .newerLayout(layout)
    default: return nil
    }
  }
}

extension StoreAnswer.Acquire {
  fileprivate init?(_ reply: StoreReply) {
    switch reply {
    case .acquired(let epoch): self = .acquired(epoch)
    case .held(let holder, let remaining): self = .held(holder: holder, remaining: remaining)
    case .foreignApp(let remaining): self = .foreignApp(remaining: remaining)
    default: return nil
    }
  }
}

extension StoreAnswer.Begin {
  fileprivate init?(_ reply: StoreReply) {
    switch reply {
    case .began(let receipt): self = .began(receipt)
    case .stale(let committed): self = .stale(committed: committed)
    case .fenced(let epoch): self = .fenced(epoch)
    default:
      guard let conflict = Conflict(reply) else { return nil }
      self = .refused(conflict)
    }
  }
}

extension StoreAnswer.Commit {
  fileprivate init?(_ reply: StoreReply) {
    switch reply {
    case .committed(let isCertain): self = .committed(isCertain: isCertain)
    case .superseded(let epoch): self = .superseded(epoch)
    case .deposed(let epoch): self = .deposed(epoch)
    case .stale: self = .stale
    default:
      guard let conflict = Conflict(reply) else { return nil }
      self = .refused(conflict)
    }
  }
}

extension Result<StoreReply, StoreFailure> {
  /// The same as an answer to that command; a failure where it cannot be told so.
  package func answer(to command: StoreCommand) -> Result<StoreAnswer, StoreFailure> {
    flatMap { reply in
      StoreAnswer(reply, to: command).map { .success($0) } ?? .failure(.strangeAnswer)
    }
  }
}
