import Logging
import RedisClient

/// Applications' reports: waited for, or looked for while they cannot be waited for.
extension RedisLinks {
  /// So many reports are taken in one go; the rest waits for the next.
  private static let drainedAtOnce = 1000
  /// So many refusals in a row are told: one alone may be of a fail-over, which ends every pop.
  private static let refusalsTold = 2
  /// Between two looks at the list.
  ///
  /// An application waits for three seconds at most, of which a fetch takes its part. It costs two
  /// scripts a second, and only while there is need.
  private static let look: Duration = .milliseconds(500)
  /// Who does not have BLPOP is asked for it again after so long: each time may cost a connection.
  private static let untilChanged: Duration = .seconds(60)

  /// Hears reports until the turn is over.
  func hearReports(_ turn: ReportsTurn) async {
    let (deaf, deafened) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    await withReportsConnection(deafened: { deafened.yield() }) { client in
      // It ends with the pops: what is left in this block is cancelled.
      async let _: Void = lookForReports(whenever: deaf)
      await popReports(client, turn)
    }
  }

  // MARK: Waiting

  /// How long Redis is to hold a pop: its versions before 6 take whole seconds only, and 0 is
  /// without end.
  static func popSeconds(_ timeout: Duration) -> Int64 { max(1, timeout.components.seconds) }

  /// What came of one wait.
  private enum Pop {
    /// The time was over, or what was there is judged.
    case heard
    /// Somebody ended the wait: an operator, or a fail-over, after which the list may be elsewhere.
    case unblocked
    case refused(RedisFailure)
    /// There is no connection, or none any more.
    case failed(RedisError)
  }

  private func popReports(_ client: RedisClient, _ turn: ReportsTurn) async {
    var refusals = 0
    var hangUps = HangUps()
    // Who is woken again and again must not keep Redis busy.
    var unblocked = Backoff(initial: .milliseconds(20), cap: .seconds(1))
    var random = SystemRandomNumberGenerator()
    while !Task.isCancelled, !turn.isOver {
      switch await popReport(client) {
      case .heard:
        if refusals >= Self.refusalsTold {
          logger.tell(.reportsHeard, "Applications' reports are heard again")
        }
        refusals = 0
        hangUps.answered()
        unblocked.reset()
        board.reportsRefused(nil)
      case .unblocked:
        hangUps.answered()
        try? await Task.sleep(for: unblocked.delay(using: &random))
      case .refused(.readOnly(let refusal)):
        // The client gives such a connection up; the one for commands tells of it.
        board.reportsRefused(.readOnly(refusal))
      case .refused(let refusal):
        board.reportsRefused(refusal)
        refusals += 1
        if refusals == Self.refusalsTold { warn(refusal) }
        // It answers at once: the next wait must not become a busy loop.
        await pause(after: refusal, turn)
      case .failed(.outcomeUnknown(let failure)) where hangUps.lost(failure):
        let refusal = RedisFailure.hungUp(commands: "BLPOP")
        board.reportsRefused(refusal)
        if refusals < Self.refusalsTold { warn(refusal) }
        refusals = Self.refusalsTold
        await pause(after: refusal, turn)
      case .failed: break
      }
    }
  }

  /// Waits before BLPOP is tried again: until Redis may be another, where it does not have it.
  private func pause(after refusal: RedisFailure, _ turn: ReportsTurn) async {
    let end: ContinuousClock.Instant =
      .now + (refusal.lacksCommand ? Self.untilChanged : popTimeout)
    // In steps: whoever ends the turn does not wait for this.
    while !turn.isOver, !Task.isCancelled, ContinuousClock.now < end {
      try? await Task.sleep(until: min(end, .now + popTimeout))
    }
  }

  private func popReport(_ client: RedisClient) async -> Pop {
    let seconds = Self.popSeconds(popTimeout)
    do throws(RedisError) {
      let reply = try await client.execute(
        RedisCommand("BLPOP", layout.refreshRequests, "\(seconds)"), key: layout.refreshRequests,
        deadline: .now + .seconds(seconds) + Self.popSlack, waitForConnection: true,
        onAbandonment: .closeConnection)
      if let refusal = reply.refusal {
        let isElsewhere = [.moved, .clusterDown, .tryAgain].contains(refusal.kind)
        if refusal.code == "UNBLOCKED" || isElsewhere { return .unblocked }
        return .refused(
          refusal.kind == .readOnly ? .readOnly(refusal) : .refused(command: "BLPOP", refusal))
      }
      guard let item = reply.elements?.last?.bytes else { return .heard }
      // What else was said so far is heard before anything is done about it: a thousand reports of
      // one token are one. Whatever was taken off the list is judged, also when the rest fails.
      var items = [item]
      defer { take(items) }
      while case .items(let more) = try await drain(client), !more.isEmpty {
        take(items)
        items = more
      }
      return .heard
    } catch {
      logger.tell(
        .reportsFailed, "Waiting for reports failed", .keyed([.error: "\(error)"]))
      return .failed(error)
    }
  }

  private func warn(_ refusal: RedisFailure) {
    // What is missing, and not only forbidden, is no alarm for as long as it is.
    if refusal.lacksCommand { lacks.met(LackingCommand("BLPOP", refusal)) }
    logger.tell(
      .reportsRefused,
      """
      Redis, or a proxy before it, does not take BLPOP, so the list of applications' reports is \
      looked at twice a second instead. Where it is the ACL, permit the command and the key to \
      this user (`wch-sidecar acl` prints the rules)
      """,
      .keyed([.redisKey: "\(layout.refreshRequests)", .error: "\(refusal)"]))
  }

  // MARK: Looking

  private func lookForReports(whenever deaf: AsyncStream<Void>) async {
    var isRefused = false
    for await _ in deaf {
      repeat {
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: Self.look)
        guard !Task.isCancelled, board.isDeaf else { break }
        // Not cancelled: what was taken off the list would be lost.
        let refusal = await Task { await lookForReports() }.value
        if let refusal, !isRefused { warnAboutLooking(refusal) }
        isRefused = refusal != nil
      } while true
    }
  }

  /// Takes what the list has, on the connection for commands; the refusal, if there was one.
  private func lookForReports() async -> RedisServerError? {
    do {
      while true {
        switch try await drain(commands) {
        case .refused(let refusal): return refusal.kind == .readOnly ? nil : refusal
        case .items(let items) where items.isEmpty: return nil
        case .items(let items): take(items)
        }
      }
    } catch {
      logger.tell(
        .reportsFailed, "Looking for reports failed", .keyed([.error: "\(error)"]))
      return nil
    }
  }

  private func warnAboutLooking(_ refusal: RedisServerError) {
    logger.tell(
      .reportsUnheard,
      """
      Applications' reports on the list are not heard: a token that WeChat has ended early stays \
      until the probe finds it. Permit the commands and the key to this user (`wch-sidecar acl` \
      prints the rules), or delete the key if it is not a list
      """,
      .keyed([.redisKey: "\(layout.refreshRequests)", .error: "\(refusal)"]))
  }

  /// What a drain brought.
  private enum Drained {
    case items([[UInt8]])
    case refused(RedisServerError)
  }

  /// Takes what else the list has.
  private func drain(_ client: RedisClient) async throws(RedisError) -> Drained {
    let (keys, arguments) = Steps.drain.call(
      (Self.drainedAtOnce, ReportItem.longest), in: StepContext(layout: layout))
    let reply = try await ScriptCall(lacks: lacks).run(
      Steps.drain.script, keys, arguments, on: client, by: .now + Self.popSlack)
    if let refusal = reply.refusal { return .refused(refusal) }
    guard let elements = reply.elements else { return .items([]) }
    let oversized = Int(elements.first?.number ?? 0)
    if oversized > 0 {
      metrics.increment(.refreshRequests, ["outcome": "oversized"], by: Double(oversized))
    }
    return .items(elements.dropFirst().compactMap(\.bytes))
  }

  // MARK: Judging

  /// Judges items: each of the different ones once.
  private func take(_ items: [[UInt8]]) {
    var heard: Set<ReportItem> = []
    for item in items {
      guard item.count <= ReportItem.longest else {
        metrics.increment(.refreshRequests, ["outcome": "oversized"])
        continue
      }
      guard let report = ReportItem(item) else {
        ignore(item)
        continue
      }
      guard heard.insert(report).inserted else {
        metrics.increment(.refreshRequests, ["outcome": "coalesced"])
        continue
      }
      if !inbox.take(report) { ignore(item) }
    }
  }

  private func ignore(_ item: [UInt8]) {
    metrics.increment(.refreshRequests, ["outcome": "ignored"])
    guard ignored.isNews() else { return }
    logger.tell(
      .reportsIgnored,
      """
      Something on the list of applications' reports was not understood, and is ignored: a report \
      is the token as WeChat gave it, or an object of JSON (README). Of others within the hour \
      only the metric tells
      """,
      .keyed([
        .redisKey: "\(layout.refreshRequests)", .reason: "\(ReportItem.form(of: item))",
      ]))
  }
}
