import TokenCore

/// A fault at one boundary of an effect by which a token or the lock is at stake.
package struct Strike: Hashable, Sendable, CustomStringConvertible {
  /// What the keeper wants done.
  enum Effect: String, CaseIterable {
    case acquire, takeOver, begin, fetch, commit, resolve, republish, mark, release
    /// What follows in other slots, where keys lie in several.
    case shorten, place

    /// Those that there are.
    static func all(isSplit: Bool) -> [Effect] {
      isSplit ? allCases : allCases.filter { $0 != .shorten && $0 != .place }
    }

    init?(_ call: SplitStep.Call) {
      switch call {
      case .step(let command): self.init(command)
      case .apart(.shorten): self = .shorten
      case .apart(.place): self = .place
      case .apart(.read): return nil
      }
    }

    /// Nil for what decides nothing.
    init?(_ action: Keeper.Action) {
      switch action {
      case .fetch: self = .fetch
      case .store(let command, _): self.init(command)
      case .cancelFetch, .probe, .giveBack, .listen, .announce, .note, .stop: return nil
      }
    }

    init?(_ command: StoreCommand) {
      switch command.kind {
      case .acquire: self = .acquire
      case .takeOver: self = .takeOver
      case .begin: self = .begin
      case .commit: self = .commit
      case .resolve: self = .resolve
      case .republish: self = .republish
      case .mark: self = .mark
      case .release: self = .release
      case .pollLock, .renew, .look, .heartbeat: return nil
      }
    }
  }

  package let fault: Fault
  let boundary: World.Boundary
  let effect: Effect

  /// Every fault at every boundary of every such effect.
  package static func all(isSplit: Bool) -> [Strike] {
    Fault.allCases.filter { !isSplit || $0 != .fork }.flatMap { fault in
      World.Boundary.allCases.flatMap { boundary in
        Effect.all(isSplit: isSplit).map {
          Strike(fault: fault, boundary: boundary, effect: $0)
        }
      }
    }
  }

  package var description: String { "\(fault.rawValue) at \(effect)'s \(boundary)" }
}
