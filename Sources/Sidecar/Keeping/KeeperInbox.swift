import Synchronization
package import TokenCore

/// What reaches the keeper's loop, and what the loop shows: made before both of its sides.
///
/// The loop takes events out of it and publishes a view after each; connections and the HTTP
/// interface put events in and read that view. Whoever keeps the whole of the view makes the next
/// event copy all accounts: `look` and `account` read what is wanted, and keep nothing.
package final class KeeperInbox: Sendable {
  /// What others may see of the loop.
  package struct View: Sendable {
    package var keeper: KeeperView
    /// When the last event was taken; nil before the first.
    package var handledAt: Moment?
    /// Whether an orderly end is under way.
    package var isStopping = false
  }

  /// For the one loop that takes them.
  let events: AsyncStream<Keeper.Event>
  private let continuation: AsyncStream<Keeper.Event>.Continuation
  /// Protects the published view: written by the loop, read by the HTTP interface and for reports.
  private let published: Mutex<View>
  /// Rung after every event that changes an account.
  private let bells = Bells()
  /// What the leader said of the reports that it holds up.
  let limits = HeardLimits()

  /// For a keeper that has not begun.
  package init(for keeper: Keeper) {
    // Unbounded is bounded here: answers by the steps in flight, of which the keeper has one an
    // account and a handful of its own; hints by what Redis sends, reports by the drain's bound.
    (events, continuation) = AsyncStream.makeStream()
    published = Mutex(View(keeper: keeper.view))
  }

  /// Hands an event to the loop.
  package func post(_ event: Keeper.Event) { continuation.yield(event) }

  /// Hands an application's report to the loop; false when it means nothing here.
  func take(_ item: ReportItem) -> Bool {
    let event = look { item.event(for: $0.keeper, at: MonotonicClock.now()) }
    guard let event else { return false }
    post(event)
    return true
  }

  /// Takes what another replica has said.
  func hear(_ announcement: Announcement) {
    limits.hear(announcement, at: MonotonicClock.now())
    if case .limited(let account, _) = announcement { ring(account) }
    if let event = announcement.event { post(event) }
  }

  /// The keeper as of the last event, whole: for those who show all of it, now and then.
  package var view: View { published.withLock { $0 } }

  /// Reads something of the keeper as of the last event.
  package func look<Result: Sendable>(_ read: (View) -> Result) -> Result {
    published.withLock { read($0) }
  }

  /// An account as of the last event; nil when there is none of that name.
  package func account(_ name: CredentialID) -> AccountKeeper? { look { $0.keeper[name] } }

  /// A bell that rings when the account, or with nil any one, may have changed; whoever takes it
  /// gives it back.
  func bell(for account: CredentialID?) -> Bells.Bell { bells.bell(for: account) }

  func giveBack(_ bell: Bells.Bell) { bells.giveBack(bell) }

  /// Has those look who wait for something about the account that the keeper does not know.
  func ring(_ account: CredentialID) { bells.ring([account]) }

  /// Publishes what an event has changed.
  func show(_ keeper: inout Keeper, at now: Moment) {
    let changed = published.withLock { view in
      view.handledAt = now
      return keeper.show(in: &view.keeper)
    }
    bells.ring(changed)
  }

  /// An orderly end is asked for.
  func stop() {
    published.withLock { $0.isStopping = true }
    post(.shutdownRequested)
  }
}
