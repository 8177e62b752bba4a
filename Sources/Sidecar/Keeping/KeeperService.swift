package import NIOCore
import ServiceLifecycle
import Synchronization
package import TokenCore

/// Runs the keeper: one stream of events, one consumer, and effects that each post one event back.
///
/// Nothing else touches the keeper; others read what is published after every event: a view, in
/// which only the accounts are replaced that the event changed. Whoever keeps the whole of it makes
/// the next event copy all accounts: `look` and `account` read what is wanted, and keep nothing.
package final class KeeperService: Service, Sendable {
  /// What the keeper's actions are carried out with.
  package struct Effects: Sendable {
    /// Carries out one step at Redis, by the deadline.
    package var perform:
      @Sendable (StoreCommand, ContinuousClock.Instant) async -> Result<StoreAnswer, StoreFailure>
    /// Asks WeChat once, as long as the permit is not withdrawn; answers by the order's deadline.
    package var fetch: @Sendable (FetchOrder, SendPermit) async -> FetchOutcome
    /// Asks WeChat whether a token lives; always answers by the order's deadline.
    package var probe: @Sendable (ProbeOrder) async -> (isDead: Bool, dailyLimit: Int?)
    /// Puts a report back on the list.
    package var giveBack: @Sendable (Report) async -> Void

    package init(
      perform:
        @escaping @Sendable (StoreCommand, ContinuousClock.Instant) async -> Result<
          StoreAnswer, StoreFailure
        >,
      fetch: @escaping @Sendable (FetchOrder, SendPermit) async -> FetchOutcome,
      probe: @escaping @Sendable (ProbeOrder) async -> (isDead: Bool, dailyLimit: Int?),
      giveBack: @escaping @Sendable (Report) async -> Void
    ) {
      self.perform = perform
      self.fetch = fetch
      self.probe = probe
      self.giveBack = giveBack
    }
  }

  /// What others may see of the loop.
  package struct View: Sendable {
    package var keeper: KeeperView
    /// When the last event was taken; nil before the first.
    package var handledAt: Moment?
    /// Whether an orderly end is under way.
    package var isStopping = false
  }

  private let effects: Effects
  private let commandTimeout: Duration
  private let eventLoop: any EventLoop
  private let journal: @Sendable (Note, Moment) -> Void
  private let events: AsyncStream<Keeper.Event>
  private let continuation: AsyncStream<Keeper.Event>.Continuation
  /// Protects the published view: written by the loop, read by the HTTP interface and the hints.
  private let published: Mutex<View>
  /// Rung after every event that changes an account.
  private let bells = Bells()
  /// The keeper until it runs.
  private let unstarted: Keeper
  private let stopped: AsyncStream<Void>
  private let stoppedContinuation: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - keeper: not yet started.
  ///   - commandTimeout: the deadline of one step at Redis.
  ///   - eventLoop: where the keeper's one timer is scheduled.
  ///   - journal: told of everything worth a log line or a metric.
  package init(
    keeper: Keeper, effects: Effects, commandTimeout: Duration, eventLoop: any EventLoop,
    journal: @escaping @Sendable (Note, Moment) -> Void
  ) {
    self.effects = effects
    self.commandTimeout = commandTimeout
    self.eventLoop = eventLoop
    self.journal = journal
    // Unbounded is bounded here: answers by the steps in flight, of which the keeper has one an
    // account and a handful of its own; hints by what Redis sends, reports by the drain's bound.
    (events, continuation) = AsyncStream.makeStream()
    (stopped, stoppedContinuation) = AsyncStream.makeStream()
    unstarted = keeper
    published = Mutex(View(keeper: keeper.view))
  }

  /// The keeper as of the last event, whole: for those who show all of it, now and then.
  package var view: View { published.withLock { $0 } }

  /// Reads something of the keeper as of the last event.
  package func look<Result: Sendable>(_ read: (View) -> Result) -> Result {
    published.withLock { read($0) }
  }

  /// An account as of the last event; nil when there is none of that name.
  package func account(_ name: AccountName) -> AccountKeeper? { look { $0.keeper[name] } }

  /// A bell that rings when the account may have changed; whoever takes it gives it back.
  func bell(for account: AccountName) -> Bells.Bell { bells.bell(for: account) }

  func giveBack(_ bell: Bells.Bell) { bells.giveBack(bell) }

  /// Has those look who wait for something about the account that the keeper does not know.
  func ring(_ account: AccountName) { bells.ring([account]) }

  /// Hands an event to the loop.
  package func post(_ event: Keeper.Event) { continuation.yield(event) }

  /// Returns once `run` has ended; for one waiter.
  package func waitUntilStopped() async throws {
    for await _ in stopped {}
    try Task.checkCancellation()
  }

  /// Runs until the keeper has shut down in order, or the task is cancelled.
  package func run() async throws {
    await withTaskCancellationOrGracefulShutdownHandler {
      await loop()
    } onCancelOrGracefulShutdown: {
      self.published.withLock { $0.isStopping = true }
      self.post(.shutdownRequested)
    }
  }

  private func loop() async {
    defer { stoppedContinuation.finish() }
    var keeper = unstarted
    var timer: (at: Moment, scheduled: Scheduled<Void>)?
    // One an account at most: the next fetch begins when the one before is over or given up.
    var permits: [AccountName: (version: Version, permit: SendPermit)] = [:]
    await withDiscardingTaskGroup { group in
      post(.started)
      for await event in events {
        let now = MonotonicClock.now()
        let actions = keeper.handle(event, at: now)
        let changed = published.withLock { view in
          view.handledAt = now
          return keeper.show(in: &view.keeper)
        }
        bells.ring(changed)
        if !carryOut(actions, at: now, &permits, in: &group) { break }
        guard let wake = keeper.nextWake, wake != timer?.at || event == .woke else { continue }
        timer?.scheduled.cancel()
        timer = (wake, schedule(wake, from: now))
      }
      timer?.scheduled.cancel()
      group.cancelAll()
    }
  }

  /// Starts every effect; false when the keeper is done.
  private func carryOut(
    _ actions: [Keeper.Action], at now: Moment,
    _ permits: inout [AccountName: (version: Version, permit: SendPermit)],
    in group: inout DiscardingTaskGroup
  ) -> Bool {
    var isRunning = true
    for action in actions {
      switch action {
      case .store(let command, let step):
        let deadline = MonotonicClock.instant(of: step.issuedAt + commandTimeout)
        group.addTask { [self] in
          let result = await effects.perform(command, deadline)
          post(.stored(step, result))
        }
      case .fetch(let order):
        let permit = SendPermit()
        permits[order.account] = (order.version, permit)
        group.addTask { [self] in
          post(.fetched(order.account, order.version, await effects.fetch(order, permit)))
        }
      case .cancelFetch(let account, let version):
        guard let last = permits[account], last.version == version else { break }
        last.permit.withdraw()
      case .probe(let order):
        group.addTask { [self] in
          let answer = await effects.probe(order)
          post(
            .probed(
              order.account, order.version, isDead: answer.isDead,
              dailyLimit: answer.dailyLimit))
        }
      case .giveBack(let report):
        // Not cancelled with the group: its last act may be just this.
        group.addTask { [self] in await Task { await effects.giveBack(report) }.value }
      case .note(let note):
        journal(note, now)
      case .stop:
        isRunning = false
      }
    }
    return isRunning
  }

  private func schedule(_ wake: Moment, from now: Moment) -> Scheduled<Void> {
    eventLoop.scheduleTask(in: .nanoseconds(max(0, (wake - now).wholeNanoseconds))) { [self] in
      post(.woke)
    }
  }
}
