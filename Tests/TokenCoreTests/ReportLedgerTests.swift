import Testing
import TokenCore

@Suite struct ReportLedgerTests {
  private static func at(_ seconds: Double) -> Moment { .origin + .seconds(seconds) }

  /// Asks, and begins at once what may begin.
  private static func serve(_ ledger: inout ReportLedger, at moment: Moment) -> Bool {
    guard ledger.ask(.report, at: moment, hasBudget: true) <= moment else { return false }
    ledger.began(for: .report, bringsAnother: true, at: moment)
    return true
  }

  @Test(
    "thirty seconds lie between two fetches for reports",
    arguments: [(29.999, false), (30.0, true), (30.001, true)])
  func spacing(seconds: Double, isServed: Bool) {
    var ledger = ReportLedger(limits: .token)
    #expect(Self.serve(&ledger, at: Self.at(100)))
    #expect(Self.serve(&ledger, at: Self.at(100 + seconds)) == isServed)
  }

  @Test("what meets a limit is kept, once, and told when it is served")
  func kept() {
    var ledger = ReportLedger(limits: .token)
    #expect(Self.serve(&ledger, at: Self.at(0)))
    #expect(ledger.ask(.report, at: Self.at(10), hasBudget: true) == Self.at(30))
    // Whoever asks later waits no longer, and takes no second place.
    #expect(ledger.ask(.report, at: Self.at(29), hasBudget: true) == Self.at(30))
    #expect(ledger.asked?.notBefore == Self.at(30))
    ledger.began(for: .report, bringsAnother: true, at: Self.at(30))
    #expect(ledger.asked == nil)
    #expect(ledger.ask(.report, at: Self.at(31), hasBudget: true) == Self.at(60))
  }

  @Test("who insists shortens what a refusal holds up, within the limits of reports")
  func insists() {
    var ledger = ReportLedger(limits: .stableToken)
    #expect(Self.serve(&ledger, at: Self.at(100)))
    // A limit is not shortened, and nothing is where nothing was asked for.
    ledger.insist(notBefore: Self.at(101), at: Self.at(101))
    #expect(ledger.asked == nil)
    #expect(ledger.ask(.force, at: Self.at(102), hasBudget: true) == Self.at(130))
    ledger.insist(notBefore: Self.at(103), at: Self.at(103))
    #expect(ledger.asked?.notBefore == Self.at(130))
    ledger.hold(.force, until: Self.at(1000))
    ledger.insist(notBefore: Self.at(105), at: Self.at(104))
    #expect(ledger.asked?.notBefore == Self.at(130))
    ledger.hold(.force, until: Self.at(1000))
    ledger.insist(notBefore: Self.at(205), at: Self.at(200))
    #expect(ledger.asked?.notBefore == Self.at(205))
  }

  @Test(
    "twenty an hour are served, the next one when the first is an hour old",
    arguments: [(3599.999, false), (3600.0, true), (3600.001, true)])
  func hour(seconds: Double, isServed: Bool) {
    var ledger = ReportLedger(limits: .token)
    for number in 0..<20 {
      let moment = Self.at(Double(number) * 30)
      #expect(ledger.ask(.report, at: moment, hasBudget: true) == moment)
      ledger.began(for: .report, bringsAnother: true, at: moment)
    }
    #expect(Self.serve(&ledger, at: Self.at(seconds)) == isServed)
  }

  @Test(
    "stable_token is forced twenty times a day",
    arguments: [(86_399.999, false), (86_400.0, true), (86_400.001, true)])
  func day(seconds: Double, isServed: Bool) {
    var ledger = ReportLedger(limits: .stableToken)
    for number in 0..<20 {
      let moment = Self.at(Double(number) * 30)
      #expect(ledger.ask(.force, at: moment, hasBudget: true) == moment)
      ledger.began(for: .force, bringsAnother: true, at: moment)
    }
    #expect(Self.serve(&ledger, at: Self.at(seconds)) == isServed)
  }

  @Test("fetches that nobody asked for do not count")
  func scheduled() {
    var ledger = ReportLedger(limits: .token)
    for trigger in Trigger.allCases where !trigger.isAsked {
      ledger.began(for: trigger, bringsAnother: true, at: Self.at(100))
    }
    #expect(Self.serve(&ledger, at: Self.at(100)))
  }

  @Test("with the day's budget used up, a report waits a quarter of an hour")
  func budget() {
    var ledger = ReportLedger(limits: .token)
    #expect(ledger.ask(.report, at: Self.at(0), hasBudget: false) == Self.at(900))
  }

  @Test("a fetch that repeats the token serves nobody who asked for another")
  func repeated() {
    var ledger = ReportLedger(limits: .stableToken)
    _ = ledger.ask(.report, at: Self.at(0), hasBudget: true)
    ledger.began(for: .schedule, bringsAnother: false, at: Self.at(0))
    #expect(ledger.asked?.trigger == .report)
    ledger.settled()
    #expect(ledger.asked == nil)
  }
}

extension Trigger {
  fileprivate var isAsked: Bool { [.report, .force, .probe].contains(self) }
}

/// A whole keeper that leads, day after day, with applications that complain.
@Suite struct ReportedKeeperTests {
  @Test("a day of reports from a broken application makes fewer than 500 fetches")
  func brokenApplication() {
    var bench = KeeperBench()
    bench.run(for: .seconds(86_400), reportingEvery: .seconds(5))
    #expect(bench.fetches.count < 500)
    #expect(bench.fetches.count > 400, "limits delay, they do not drop")
    #expect(bench.leastRemaining > .seconds(179), "the schedule goes on")
    // The day after, without reports: the schedule as ever, a fetch every 7020 s.
    let before = bench.fetches.count
    bench.run(for: .seconds(86_400), reportingEvery: nil)
    #expect((12...14).contains(bench.fetches.count - before))
    #expect(bench.fetches.dropFirst(before + 1).allSatisfy { $0 == .schedule })
  }

  @Test("a used-up budget holds reports back, and never the schedule")
  func usedUpBudget() {
    var credential = Credential()
    credential.dailyBudget = 40
    var bench = KeeperBench(credential)
    bench.run(for: .seconds(86_400), reportingEvery: .seconds(5))
    // Beyond the budget one look in a quarter of an hour.
    #expect(bench.fetches.count <= 40 + 86_400 / 900 + 1)
    #expect(bench.leastRemaining > .seconds(179))
  }

  @Test("a test account's 200 calls outlast a day of reports, and so does the schedule's share")
  func testAccount() {
    var credential = Credential()
    credential.probe = .seconds(300)
    var bench = KeeperBench(credential)
    // What `quota/get` says: half of it is the budget.
    bench.dailyLimit = 200
    bench.run(for: .seconds(86_400), reportingEvery: .seconds(5))
    #expect(bench.fetches.count < 200)
    #expect(bench.leastRemaining > .seconds(179))
  }

  @Test("with stable_token a day of reports forces 20 times, and the schedule goes on")
  func stableToken() {
    var credential = Credential()
    credential.fetch = .renewsWhenForced
    var bench = KeeperBench(credential)
    bench.run(for: .seconds(86_400), reportingEvery: .seconds(5))
    #expect(bench.forced == 20)
    #expect(bench.leastRemaining > .seconds(170))
    bench.run(for: .seconds(86_400), reportingEvery: .seconds(5))
    #expect(bench.forced == 40)
  }

  @Test("a force that WeChat answers with the same token is asked for again after 30 s")
  func forceRefused() {
    var credential = Credential()
    credential.fetch = .renewsWhenForced
    var bench = KeeperBench(credential)
    bench.run(for: .seconds(100), reportingEvery: nil)
    bench.ignoresForce = true
    bench.report()
    #expect(bench.forced == 1)
    bench.ignoresForce = false
    bench.run(for: .seconds(29), reportingEvery: nil)
    #expect(bench.forced == 1)
    bench.run(for: .seconds(2), reportingEvery: nil)
    #expect(bench.forced == 2)
    #expect(bench.fetches.last == .report)
  }

  @Test("a report during a plain fetch of stable_token is served after it")
  func reportDuringPlainFetch() {
    var credential = Credential()
    credential.fetch = .renewsWhenForced
    var bench = KeeperBench(credential)
    bench.run(for: .seconds(100), reportingEvery: nil)
    // WeChat is slow, and repeats the token that is said to be dead.
    bench.heldFetches = []
    bench.doubt = Doubt(first: bench.redisTime, last: bench.redisTime)
    bench.run(for: .seconds(111), reportingEvery: nil)
    #expect(bench.heldFetches?.map(\.trigger) == [.doubt])
    bench.report()
    bench.releaseFetches()
    bench.run(for: .seconds(2), reportingEvery: nil)
    #expect(bench.forced == 1)
  }

  @Test("one refusal of a probe is no proof, two are")
  func probe() {
    var credential = Credential()
    credential.probe = .seconds(300)
    var bench = KeeperBench(credential)
    bench.deadAnswers = 1
    bench.run(for: .seconds(1000), reportingEvery: nil)
    #expect(bench.probes == 4)
    #expect(bench.fetches == [.start])
    bench.deadAnswers = 2
    bench.run(for: .seconds(306), reportingEvery: nil)
    #expect(bench.fetches == [.start, .probe])
    #expect(bench.earlyDeaths == 1)
  }

  @Test("that a token is dead, learnt when the lead is over, is said to the next leader")
  func lateVerdict() throws {
    var it = Transcript(probe: .seconds(300))
    it.publish()
    var orders: [ProbeOrder] = []
    let end = it.now + .seconds(310)
    while orders.count < 2, let wake = it.keeper.nextWake, wake <= end {
      it.now = max(it.now, wake)
      for action in it.post(.woke) {
        switch action {
        case .store(.renew, _): it.answer(action, .renewed)
        case .store(.heartbeat, _): it.answer(action, .replicas([], now: it.redisTime))
        case .store(.look, _): it.answer(action, .account(it.published("T")))
        case .probe(let order):
          orders.append(order)
          if orders.count == 1 {
            it.post(.probed(order.account, order.version, isDead: true, dailyLimit: nil))
          }
        case .store, .fetch, .cancelFetch, .giveBack, .listen, .announce, .note, .stop: break
        }
      }
    }
    let order = try #require(orders.count == 2 ? orders.last : nil)
    it.pass(.seconds(20))
    it.post(.woke)
    #expect(it.keeper.election.leadership == nil)
    let verdict = Keeper.Event.probed(
      order.account, order.version, isDead: true, dailyLimit: nil)
    #expect(it.post(verdict).contains(.giveBack(.rejected(AccessToken("T")))))
    #expect(it.keeper.accounts[0].reports.asked == nil)
  }
}
