package import NIOCore
import ServiceLifecycle
package import TokenCore

/// Runs the keeper: one stream of events, one consumer, and effects that each post one event back.
///
/// Nothing else touches the keeper; others read what its inbox shows.
package final class KeeperService: Service, Sendable {
  /// What the keeper's actions are carried out with.
  package struct Effects: Sendable {
    /// Carries out one step at Redis, by the deadline.
    package var perform:
      @Sendable (StoreCommand, StepID, ContinuousClock.Instant) async -> Result<
        StoreAnswer, StoreFailure
      >
    /// Asks WeChat once, as long as the permit is not withdrawn; answers by the order's deadline.
    package var fetch: @Sendable (FetchOrder, SendPermit) async -> FetchOutcome
    /// Asks WeChat whether a token lives; always answers by the order's deadline.
    package var probe: @Sendable (ProbeOrder) async -> (isDead: Bool, dailyLimit: Int?)
    /// Puts a report back on the list.
    package var giveBack: @Sendable (Report) async -> Void
    /// Begins or ends the waiting for reports.
    package var listen: @Sendable (Bool) -> Void
    /// Says something to all replicas, as soon as may be.
    package var announce: @Sendable (Announcement) -> Void

    package init(
      perform:
        @escaping @Sendable (StoreCommand, StepID, ContinuousClock.Instant) async -> Result<
          StoreAnswer, StoreFailure
        >,
      fetch: @escaping @Sendable (FetchOrder, SendPermit) async -> FetchOutcome,
      probe: @escaping @Sendable (ProbeOrder) async -> (isDead: Bool, dailyLimit: Int?),
      giveBack: @escaping @Sendable (Report) async -> Void,
      listen: @escaping @Sendable (Bool) -> Void,
      announce: @escaping @Sendable (Announcement) -> Void
    ) {
      self.perform = perform
      self.fetch = fetch
      self.probe = probe
      self.giveBack = giveBack
      self.listen = listen
      self.announce = announce
    }
  }

  private let effects: Effects
  private let commandTimeout: Duration
  private let eventLoop: any EventLoop
  private let journal: @Sendable (Note, Moment) -> Void
  private let inbox: KeeperInbox
  /// The keeper until it runs.
  private let unstarted: Keeper
  private let stopped: AsyncStream<Void>
  private let stoppedContinuation: AsyncStream<Void>.Continuation

  /// - Parameters:
  ///   - keeper: not yet started.
  ///   - inbox: made for it.
  ///   - commandTimeout: the deadline of one step at Redis.
  ///   - eventLoop: where the keeper's one timer is scheduled.
  ///   - journal: told of everything worth a log line or a metric.
  package init(
    keeper: Keeper, inbox: KeeperInbox, effects: Effects, commandTimeout: Duration,
    eventLoop: any EventLoop,
    journal: @escaping @Sendable (Note, Moment) -> Void
  ) {
    self.effects = effects
    self.commandTimeout = commandTimeout
    self.eventLoop = eventLoop
    self.journal = journal
    self.inbox = inbox
    (stopped, stoppedContinuation) = AsyncStream.makeStream()
    unstarted = keeper
  }

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
      self.inbox.stop()
    }
  }

  private func loop() async {
    defer { stoppedContinuation.finish() }
    var keeper = unstarted
    var timer: (at: Moment, scheduled: Scheduled<Void>)?
    // One an account at most: the next fetch begins when the one before is over or given up.
    var permits: [CredentialID: (version: Version, permit: SendPermit)] = [:]
    await withDiscardingTaskGroup { group in
      inbox.post(.started)
      for await event in inbox.events {
        let now = MonotonicClock.now()
        let actions = keeper.handle(event, at: now)
        inbox.show(&keeper, at: now)
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
    _ permits: inout [CredentialID: (version: Version, permit: SendPermit)],
    in group: inout DiscardingTaskGroup
  ) -> Bool {
    var isRunning = true
    for action in actions {
      switch action {
      case .store(let command, let step):
        let deadline = MonotonicClock.instant(of: step.issuedAt + commandTimeout)
        group.addTask { [self] in
          let result = await effects.perform(command, step, deadline)
          inbox.post(.stored(step, result))
        }
      case .fetch(let order):
        let permit = SendPermit()
        permits[order.account] = (order.version, permit)
        group.addTask { [self] in
          inbox.post(.fetched(order.account, order.version, await effects.fetch(order, permit)))
        }
      case .cancelFetch(let account, let version):
        guard let last = permits[account], last.version == version else { break }
        last.permit.withdraw()
      case .probe(let order):
        group.addTask { [self] in
          let answer = await effects.probe(order)
          inbox.post(
            .probed(
              order.account, order.version, isDead: answer.isDead,
              dailyLimit: answer.dailyLimit))
        }
      case .giveBack(let report):
        // Not cancelled with the group: its last act may be just this.
        group.addTask { [self] in await Task { await effects.giveBack(report) }.value }
      case .listen(let listens): effects.listen(listens)
      case .announce(let announcement): effects.announce(announcement)
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
      inbox.post(.woke)
    }
  }
}
