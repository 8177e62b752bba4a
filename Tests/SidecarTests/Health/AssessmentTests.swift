import RedisClient
import Testing
import TokenCore

@testable import Sidecar

/// What is wrong with a replica that has just been made, by what is known beside its keeper.
@Suite struct AssessmentTests {
  private static let wall = Timestamp(second: 1_800_000_000)
  private static let now = Moment.origin + .seconds(1000)

  private static let keeper = Keeper(
    instance: InstanceID("a")!, accounts: [.unnamed], timing: Timing(), margins: Margins(),
    generator: SystemRandomNumberGenerator())

  /// The accounts that this replica keeps.
  private static let mine = AccountMarks([(name: .unnamed, appID: "wx1")])

  /// Something known, `age` after the start.
  private static func known(age: Duration = .seconds(1000)) -> Observation {
    Observation(
      now: now, wall: wall, startedAt: now - age, instance: "a", isLeader: false,
      timing: Timing(), margins: Margins(), accounts: mine)
  }

  private static func conditions(
    _ known: Observation, met age: Duration? = nil
  ) -> [Condition] {
    let met = age.map {
      HealthBook.Met(
        since: Timestamp(milliseconds: wall.milliseconds - $0.wholeMilliseconds), at: now - $0)
    }
    return Assessment(keeper.view, known) { _ in met }.conditions
  }

  private static func condition(
    _ kind: Condition.Kind, _ known: Observation, met age: Duration? = nil
  ) -> Condition? {
    conditions(known, met: age).first { $0.kind == kind }
  }

  @Test("an account that has just come is not yet without a token, and then it is")
  func startingUp() {
    func isPending(_ age: Duration?) -> Bool? {
      Self.condition(.noToken, Self.known(age: .seconds(90)), met: age)?.isPending
    }
    #expect(isPending(nil) == true)
    #expect(isPending(.seconds(9)) == true)
    #expect(isPending(.seconds(10)) == false)
  }

  @Test(
    "what cannot be handed on is told when its second attempt failed, too, and aloud in time",
    arguments: [
      (4, true, Condition.Severity.warning), (5, false, .warning), (59, false, .warning),
      (60, false, .error),
    ])
  func outputs(seconds: Int, isPending: Bool, severity: Condition.Severity) throws {
    var known = Self.known()
    known.outputs = [
      Observation.OutputTrouble(
        .fileUnwritten, .unnamed, subject: "/run/t", reason: "the disk is full",
        since: Self.now - .seconds(seconds))
    ]
    let condition = try #require(Self.condition(.fileUnwritten, known))
    #expect(condition.isPending == isPending)
    #expect(condition.severity == severity)
    #expect(condition.account == .unnamed)
    #expect(condition.since == Timestamp(second: Self.wall.second - Int64(seconds)))
    #expect(!condition.preventsReading)
    #expect(condition.sentence(.english).contains("/run/t"))
  }

  @Test(
    "a loop that does nothing for three ticks stands still",
    arguments: [(59, false), (60, true), (61, true)])
  func stalled(seconds: Int, isStalled: Bool) {
    var known = Self.known()
    known.handledAt = Self.now - .seconds(seconds)
    let condition = Self.condition(.loopStalled, known)
    #expect((condition != nil) == isStalled)
    guard let condition else { return }
    #expect(condition.severity == .critical)
    #expect(condition.since == Timestamp(second: Self.wall.second - Int64(seconds)))
  }

  @Test(
    "a clock that differs by more than five seconds is told, with how and by how much",
    arguments: [(5, nil), (-5, nil), (6, "6 s ahead"), (-90, "90 s behind")] as [(Int, String?)])
  func clock(seconds: Int, told: String?) {
    var known = Self.known()
    known.clockSkew = .seconds(seconds)
    let sentence = Self.condition(.clockOff, known)?.sentence(.english)
    #expect((sentence != nil) == (told != nil))
    if let told { #expect(sentence?.contains(told) == true) }
  }

  private static func away(
    _ failure: RedisFailure, for seconds: Int64
  ) -> [(link: RedisLink, state: LinkState)] {
    var state = LinkState(isWanted: true, since: Timestamp(second: wall.second - seconds))
    state.connectFailed(failure)
    return [(.commands, state)]
  }

  @Test("Redis that is away for as long as a fail-over takes is a warning, and then an error")
  func failOver() {
    var known = Self.known()
    known.links = Self.away(.connectTimedOut("redis:6379"), for: 30)
    #expect(Self.condition(.redisAway, known)?.severity == .warning)
    #expect(Self.condition(.redisAway, known, met: .seconds(29))?.severity == .warning)
    #expect(Self.condition(.redisAway, known, met: .seconds(30))?.severity == .error)
    #expect(Self.condition(.redisAway, known)?.facts.reason?.contains("redis:6379") == true)
  }

  @Test("what only a person can mend at Redis is an error at once, by its own name")
  func refusals() {
    for (failure, kind) in [
      (
        RedisFailure.authenticationFailed(RedisServerError("WRONGPASS no")),
        Condition.Kind.redisLogin
      ),
      (.readOnly(RedisServerError("READONLY no")), .redisWrites),
      (.refused(command: "SELECT", RedisServerError("NOPERM no")), .redisPermission),
      (.notConnected(.authenticationFailed(RedisServerError("WRONGPASS no"))), .redisLogin),
    ] {
      var known = Self.known()
      known.links = Self.away(failure, for: 0)
      #expect(Self.condition(kind, known)?.severity == .error, "\(failure)")
    }
  }

  @Test("why there is no token is said with it: what the leader met, or else what is wrong here")
  func cause() throws {
    var known = Self.known()
    known.links = Self.away(.connectTimedOut("redis:6379"), for: 60)
    #expect(Self.condition(.noToken, known)?.facts.cause == .redisAway)

    var facts = Condition.Facts()
    facts.code = 40125
    facts.reason = "the AppSecret is wrong"
    let failing = Condition(
      .refreshFailing, .error, account: .unnamed, since: Self.wall, facts: facts)
    known.others = [
      .init(
        instance: "b", isLeader: true, age: .seconds(2),
        report: HealthReport(
          version: "1", startedAt: Self.wall, accounts: Self.mine.digest, conditions: [failing]))
    ]
    let missing = try #require(Self.condition(.noToken, known))
    #expect(missing.facts.cause == .refreshFailing)
    #expect(missing.facts.code == 40125)
    #expect(missing.sentence(.english).contains("the AppSecret is wrong"))
    #expect(Self.condition(.refreshFailing, known)?.observer == "b")
    #expect(missing.preventsReading)
  }

  /// A step that failed first so long ago, and so often since then.
  private static func step(
    _ kind: StoreFailure.Kind, times count: Int, within span: Duration
  ) -> Observation.StepTrouble {
    .init(kind: kind, reason: "\(kind)", since: wall, count: count, span: span)
  }

  @Test("what one pause of Redis made fail is told only if steps still fail five seconds later")
  func hiccup() {
    for (count, span, isTold) in [
      (1, Duration.zero, false), (12, .milliseconds(1500), false), (2, .milliseconds(4999), false),
      (2, .seconds(5), true),
    ] {
      var known = Self.known()
      known.steps = [Self.step(.transport, times: count, within: span)]
      let conditions = Self.conditions(known).filter { $0.kind == .redisStep }
      // It is no reason for anything that is told while it may be over by itself.
      let cause = Self.condition(.noToken, known)?.facts.cause
      #expect(conditions.map(\.isPending) == [!isTold], "\(count) in \(span)")
      #expect((cause == .redisStep) == isTold)
    }
  }

  @Test("that nobody leads is no account's cause while something is known that it comes from")
  func causeOfNoLeader() throws {
    var keeper = Self.keeper
    _ = keeper.handle(.started, at: Self.now)
    _ = keeper.handle(.storeConnected(runID: nil), at: Self.now)
    let met = HealthBook.Met(since: Self.wall, at: Self.now - .seconds(60))
    for (steps, cause) in [
      ([], Condition.Kind.noLeader),
      ([Self.step(.transport, times: 9, within: .seconds(9))], .redisStep),
    ] {
      var known = Self.known()
      known.steps = steps
      let found = Assessment(keeper.view, known) { _ in met }.conditions
      #expect(found.contains { $0.kind == .noLeader && !$0.isPending })
      #expect(found.first { $0.kind == .noToken }?.facts.cause == cause)
    }
  }

  @Test("a refusal of Redis is told at once, and of two failures without a name the one that lasts")
  func refusedSteps() {
    var known = Self.known()
    known.steps = [Self.step(.permission, times: 1, within: .zero)]
    #expect(Self.condition(.redisPermission, known)?.isPending == false)
    known.steps = [
      Self.step(.other, times: 1, within: .zero),
      Self.step(.transport, times: 9, within: .seconds(9)),
    ]
    #expect(Self.condition(.redisStep, known)?.facts.reason == "transport")
    #expect(Self.condition(.redisStep, known)?.isPending == false)
  }

  /// A keeper that was just elected, and to which WeChat gave a token, or has not answered yet.
  private static func elected(withToken hasToken: Bool) throws -> KeeperView {
    var keeper = keeper
    let clock = RedisTime(milliseconds: wall.milliseconds)
    var actions =
      keeper.handle(.started, at: now) + keeper.handle(.storeConnected(runID: nil), at: now)
    for _ in 0..<40 {
      guard !actions.isEmpty else { break }
      switch actions.removeFirst() {
      case .store(let command, let step):
        let reply: StoreReply? =
          switch command {
          case .pollLock: .lock(holder: nil, remaining: nil)
          case .acquire: .acquired(Epoch(7))
          case .look, .takeOver: .account(AccountView(now: clock))
          case .begin: .began(BeginReceipt(committed: nil, at: clock, now: clock))
          case .commit: .committed(isCertain: true)
          case .heartbeat: .replicas([], now: clock)
          case .renew, .release, .resolve, .republish, .mark: nil
          }
        guard let reply else { continue }
        actions += keeper.handle(
          .stored(step, Result.success(reply).answer(to: command)), at: now)
      case .fetch(let order) where hasToken:
        let token = FetchedToken(
          token: AccessToken("t"), lifetime: .seconds(7200), sentAt: now)
        actions += keeper.handle(.fetched(order.account, order.version, .token(token)), at: now)
      case .fetch, .probe, .cancelFetch, .giveBack, .listen, .announce, .note, .stop: continue
      }
    }
    let view = keeper.view
    try #require(view.isLeader(at: now))
    try #require((view.accounts[0].copy != nil) == hasToken)
    return view
  }

  @Test("that refreshes fail lasts when another replica leads, until that one is given a token")
  func changeOfLeader() throws {
    let failing = Condition(
      .refreshFailing, .warning, account: .unnamed,
      since: Timestamp(second: Self.wall.second - 60))
    let held = Condition(.reportHeld, .warning, account: .unnamed, since: Self.wall)
    var known = Self.known()
    known.isLeader = true
    known.others = [
      .init(
        instance: "b", isLeader: false, age: .seconds(2),
        report: HealthReport(
          version: "1", startedAt: Self.wall, accounts: Self.mine.digest,
          conditions: [failing, held]))
    ]
    for hasToken in [false, true] {
      let view = try Self.elected(withToken: hasToken)
      let told = Assessment(view, known).conditions
      #expect((told.first { $0.kind == .refreshFailing } != nil) == !hasToken)
      #expect(!told.contains { $0.kind == .reportHeld }, "its own limits are its own")
    }
    known.others[0].age = .seconds(30)
    let silent = Assessment(try Self.elected(withToken: false), known).conditions
    #expect(!silent.contains { $0.kind == .refreshFailing })
  }

  @Test("what lasts is told with since when it was met first, by whomever")
  func sinceItWasMet() {
    var known = Self.known()
    known.links = Self.away(.connectTimedOut("redis:6379"), for: 3)
    let since = Self.condition(.redisAway, known, met: .seconds(600))?.since
    #expect(since == Timestamp(second: Self.wall.second - 600))
  }

  @Test("of accounts that this replica does not have it tells nothing")
  func strangersAccounts() {
    var known = Self.known()
    let failing = Condition(
      .refreshFailing, .error, account: CredentialID("other"), since: Self.wall)
    known.others = [
      .init(
        instance: "b", isLeader: true, age: .zero,
        report: HealthReport(
          version: "1", startedAt: Self.wall, accounts: Self.mine.digest, conditions: [failing]))
    ]
    #expect(Self.condition(.refreshFailing, known) == nil)
  }

  @Test("a leader with other accounts is told once no roll-out explains it")
  func accountsDiffer() {
    var known = Self.known()
    known.others = [
      .init(
        instance: "b", isLeader: true, age: .zero,
        report: HealthReport(
          version: "1", startedAt: Self.wall, accounts: "theirs", conditions: []))
    ]
    #expect(Self.condition(.accountsDiffer, known, met: .seconds(59))?.isPending == true)
    #expect(Self.condition(.accountsDiffer, known, met: .seconds(60))?.isPending == false)
  }

  @Test("an account that the leader does not keep is told of, and nobody is to read it here")
  func unserved() throws {
    let shop = try #require(CredentialID("shop"))
    var known = Self.known()
    func unserved(_ marks: String?, isLeader: Bool = true) -> [Condition] {
      var report = HealthReport(
        version: "1", startedAt: Self.wall, accounts: "theirs", conditions: [])
      report.marks = marks
      known.others = [.init(instance: "b", isLeader: isLeader, age: .zero, report: report)]
      return Self.conditions(known, met: .seconds(60)).filter {
        $0.kind == .accountsDiffer && $0.account != nil
      }
    }
    let found = unserved(AccountMarks([(name: shop, appID: "wx2")]).text)
    #expect(found.map(\.account) == [.unnamed])
    #expect(found.first?.severity == .error && found.first?.preventsReading == true)
    // Another AppID under the name is another account.
    #expect(unserved(AccountMarks([(name: .unnamed, appID: "wx2")]).text).count == 1)
    // The leader keeps more than this replica; or told in a form of before; or leads no more.
    #expect(
      unserved(AccountMarks([(name: .unnamed, appID: "wx1"), (shop, "wx2")]).text).isEmpty)
    #expect(unserved(nil).isEmpty)
    #expect(unserved("", isLeader: false).isEmpty)
    known.isLeader = true
    #expect(unserved("").isEmpty)
  }

  @Test("a wall clock that is set back by an hour keeps nothing from people")
  func setBack() {
    var known = Self.known()
    known.others = [
      .init(
        instance: "b", isLeader: true, age: .zero,
        report: HealthReport(
          version: "1", startedAt: Self.wall, accounts: "theirs", conditions: []))
    ]
    known.wall = Timestamp(second: Self.wall.second - 3600)
    #expect(Self.condition(.accountsDiffer, known, met: .seconds(60))?.isPending == false)
    known.links = Self.away(.connectTimedOut("redis:6379"), for: 30)
    #expect(Self.condition(.redisAway, known, met: .seconds(30))?.severity == .error)
  }

  @Test(
    "a replica that was not heard for half a minute is silent",
    arguments: [(29, false), (30, true)])
  func silent(seconds: Int, isSilent: Bool) {
    var known = Self.known()
    known.others = [
      .init(instance: "b", isLeader: false, age: .seconds(seconds), report: nil)
    ]
    let condition = Self.condition(.replicaSilent, known)
    #expect((condition != nil) == isSilent)
    #expect(condition.map { $0.facts.instance == "b" } ?? true)
  }

  @Test("the worst comes first, and what applications miss before what explains it")
  func order() {
    var known = Self.known()
    known.links = Self.away(.connectTimedOut("redis:6379"), for: 60)
    known.clockSkew = .seconds(60)
    known.handledAt = Self.now - .seconds(3600)
    #expect(
      Self.conditions(known).map(\.kind) == [.noToken, .loopStalled, .redisAway, .clockOff])
  }

  @Test("what to do is about the cause, by WeChat's code where there is one, or says who knows it")
  func remedies() {
    var missing = Condition(.noToken, .critical, account: .unnamed, since: Self.wall)
    #expect(missing.remedy(.english).contains("is not known here yet"))
    missing.facts.cause = .redisAway
    #expect(missing.remedy(.english) == Condition.Kind.redisAway.remedy.english)
    missing.facts.cause = .refreshFailing
    missing.facts.code = 40125
    for language in Language.allCases {
      #expect(missing.remedy(language) == WeChatError.row(40125).more?(language))
    }
  }

  @Test("every kind has words of its own in both languages")
  func words() {
    for texts in [
      Condition.Kind.allCases.map(\.title), Condition.Kind.allCases.map(\.meaning),
      Condition.Kind.allCases.map(\.remedy),
    ] {
      for words in texts {
        #expect(!words.english.isEmpty && words.english.utf8.allSatisfy { $0 < 128 })
        #expect(words.chinese.utf8.contains { $0 >= 128 })
      }
    }
    #expect(Set(Condition.Kind.allCases.map(\.title)).count == Condition.Kind.allCases.count)
  }
}
