import Sidecar
import TestSupport
import Testing
import TokenCore
import WeChatSimulator

/// Every row of the table of errors, through the real HTTP client and a real Redis: the good token
/// stays, the log tells, the next attempt comes in its time and not before, and all is well again
/// once WeChat is.
@Suite("The table of errors") struct ErrorTableTests {
  private static let told = "WeChat gave no token; what Redis has stays"

  @Test("every code and every class of failure has a row, and each row its class")
  func isComplete() {
    for error in WeChatError.table {
      let row = ErrorRow.all.first { $0.code == error.code }
      #expect(row != nil, "no row for errcode \(error.code)")
      switch (error.category, error.holdOff) {
      case (.transient, _): #expect(row?.patience == .unknown)
      case (.rate, _): #expect(row?.patience == .nextMinute)
      case (.quota, _): #expect(row?.patience == .quota)
      case (.operator, .seconds(86_400)?): #expect(row?.patience == .refusedForADay)
      case (.operator, .seconds(3600)?): #expect(row?.patience == .refusedForAnHour)
      case (.operator, _), (.configuration, _): #expect(row?.patience == .people)
      }
    }
    #expect(Set(ErrorRow.all.map(\.patience)) == Set(ErrorRow.Patience.allCases))
    #expect(Set(ErrorRow.all.map(\.name)).count == ErrorRow.all.count)
  }

  @Test(
    "the good token stays, the failure is told and retried in its time", arguments: ErrorRow.all)
  func row(_ row: ErrorRow) async throws {
    try await SteppedReplica.run(timing: row.patience.timing) { replica in
      let good = try await replica.keys()
      await replica.spoil(row)
      try await replica.force()
      #expect(replica.attempts == 2)
      try Self.checkLog(replica, row)
      let held = try await Self.held(replica, row, good: good)

      let attempts = row.patience.attempts
      for failures in 1...attempts {
        #expect(replica.failures.inARow == failures)
        let wait = try #require(replica.waits.last)
        #expect(row.patience.wait(after: failures).contains(wait), "\(wait) after \(failures)")
        #expect(try await replica.keys() == held, "after \(failures)")
        guard failures < attempts else { break }
        try await replica.advance(by: wait - .milliseconds(1), stride: row.patience.stride)
        #expect(replica.attempts == 1 + failures, "before its time")
        try await replica.advance(by: .milliseconds(1))
        #expect(replica.attempts == 2 + failures, "at its time")
      }
      #expect(replica.log.lines.count { $0.fields["event"] == "refresh.failed" } == attempts)
      let begins = replica.log.told.filter {
        $0.fields["condition"] == "refresh_failing" && $0.fields["event"] == "condition.began"
      }
      #expect(begins.count == 1, "it begins once")
      #expect(replica.metric(Self.failuresMetric) == Double(attempts))

      try await replica.mend(row)
      let wait = try #require(replica.waits.last)
      try await replica.advance(by: wait - .milliseconds(1), stride: row.patience.stride)
      #expect(replica.attempts == 1 + attempts, "before its time")
      #expect(try await replica.keys() == held)
      try await replica.advance(by: .milliseconds(1))
      #expect(replica.attempts == 2 + attempts)
      try await Self.checkHealed(replica, row, good: good)
    }
  }

  @Test("with its host down, WeChat is asked at the next one half a second later")
  func nextHost() async throws {
    try await SteppedReplica.run(hosts: 2) { replica in
      await replica.server.takeDown(host: 0)
      try await replica.force()
      #expect(replica.failures.last?.isTransport == true)
      #expect(replica.simulator.audit.mints().count == 1)
      try await replica.advance(by: .milliseconds(600))
      #expect(replica.failures.inARow == 0)
      let token = try await replica.keys().token
      #expect(replica.simulator.audit.mints().count == 2)
      #expect(token == replica.simulator.newestToken(of: SteppedReplica.appID))
      // The host that works is kept; two forced fetches keep half a minute apart.
      try await replica.advance(by: .seconds(30))
      try await replica.force()
      #expect(replica.simulator.audit.mints().count == 3)
      #expect(replica.waits.count == 1)
    }
  }

  @Test("each change of the failure is told once, and what stays the same is not")
  func changes() async throws {
    try await SteppedReplica.run { replica in
      let faults: [Fault] = [
        .status(502), .status(502), .errorCode(-1), .errorCode(-1), .mintThenDrop, .status(502),
        .errorCode(45011), .errorCode(40164, message: "invalid ip 1.2.3.4, not in whitelist"),
        .errorCode(40164, message: "invalid ip 5.6.7.8, not in whitelist"), .errorCode(40013),
      ]
      for fault in faults { replica.simulator.setFault(fault) }
      try await replica.force()
      for _ in faults.dropFirst() {
        try await replica.advance(by: try #require(replica.waits.last))
      }
      #expect(replica.failures.inARow == faults.count)
      let told = replica.log.told.filter {
        $0.fields["condition"] == "refresh_failing" && $0.fields["event"] != "condition.lasts"
      }
      #expect(
        told.map { $0.fields["wechat.errcode"] }
          == [nil, "-1", nil, nil, "45011", "40164", "40013"])
      let levels = Array(repeating: "warning", count: 5) + ["error", "error"]
      #expect(told.map(\.level) == levels)
    }
  }

  @Test("a held account is not asked for by reports, and at once by a new secret")
  func holds() async throws {
    try await SteppedReplica.run { replica in
      let good = try await replica.keys()
      replica.simulator.setFault(.errorCode(40125))
      try await replica.force()
      #expect(replica.failures.inARow == 1)
      let token = try #require(good.token)
      for _ in 0..<2 {
        try await replica.advance(by: .seconds(20))
        try await replica.handle(.reported(.rejected(AccessToken(token))))
      }
      #expect(replica.attempts == 2)
      #expect(try await replica.keys() == good)
      try await replica.handle(.secretChanged(.unnamed))
      #expect(replica.attempts == 3)
      #expect(replica.failures.inARow == 0)
      #expect(try await replica.keys().token != token)
    }
  }

  @Test("with WeChat down past the token's end the key goes in time, and comes back with WeChat")
  func pastTheEnd() async throws {
    let life: Duration = .seconds(7200)
    try await SteppedReplica.run(life: life) { replica in
      let down = try #require(ErrorRow.all.first { $0.name == "hostDown" })
      let good = try await replica.keys()
      await replica.spoil(down)
      // Sent a second ago; refreshed with three minutes left.
      try await replica.advance(by: life - .seconds(1 + 180), stride: .seconds(4))
      #expect(replica.attempts == 2)
      #expect(try await replica.keys() == good)
      while replica.now < .origin + .seconds(1) + life - .seconds(1) {
        let left = .origin + .seconds(1) + life - replica.now
        let wait = try #require(replica.waits.last)
        #expect(wait <= max(.milliseconds(500), left / 4))
        #expect(try await replica.keys() == good)
        try await replica.advance(by: min(wait, left - .seconds(1)))
      }
      #expect(try await replica.keys() == good)
      #expect((12...40).contains(replica.attempts), "\(replica.attempts)")
      // Redis keeps a key through the last moment of its life.
      try await replica.advance(by: .seconds(2))
      #expect(try await replica.keys().token == nil, "it never lies")
      #expect(try await replica.keys().expiresIn == nil)
      let attempts = replica.attempts
      try await replica.advance(by: .seconds(600))
      #expect((16...40).contains(replica.attempts - attempts), "\(replica.attempts - attempts)")
      try await replica.mend(down)
      try await replica.advance(by: .seconds(36))
      let token = try #require(try await replica.keys().token)
      #expect(replica.simulator.judge(token).isLive)
      #expect(replica.failures.inARow == 0)
    }
  }

  @Test("with the day's forced refreshes used up, reports wait, and the schedule goes on")
  func forceQuota() async throws {
    try await SteppedReplica.run(
      life: .seconds(7200), timing: SteppedReplica.leisurely, api: .stableToken
    ) { replica in
      let good = try await replica.keys()
      replica.simulator.update(SteppedReplica.appID) { $0.dailyForceQuota = 0 }
      // 400 s before the end: the schedule's refresh falls into the quarter of an hour.
      try await replica.advance(by: .seconds(7200 - 1 - 400), stride: .seconds(100))
      try await replica.handle(.reported(.rejected(AccessToken(try #require(good.token)))))
      // Asked plainly, a second later, WeChat says that the token is good.
      try await replica.advance(by: .seconds(2))
      #expect(replica.fetches == [.start, .report, .doubt])
      #expect(replica.waits == [.seconds(900)])
      #expect(try await replica.keys().token == good.token)
      // Its life is one of 400 s now, which is refreshed with 150 s left.
      try await replica.advance(by: .seconds(247))
      #expect(replica.attempts == 3)
      try await replica.advance(by: .seconds(2))
      #expect(replica.fetches == [.start, .report, .doubt, .schedule])
      let token = try #require(try await replica.keys().token)
      #expect(token != good.token)
      #expect(replica.simulator.judge(token).isLive)
      #expect(replica.failures.inARow == 0)
      // The token that the report was about is gone, and the report with it.
      try await replica.advance(by: .seconds(900), stride: .seconds(100))
      #expect(replica.attempts == 4)
    }
  }

  @Test("a forced refresh that is used up is asked for again, and served when the quota is reset")
  func forceQuotaReset() async throws {
    try await SteppedReplica.run(
      timing: SteppedReplica.leisurely, api: .stableToken
    ) { replica in
      let good = try await replica.keys()
      replica.simulator.update(SteppedReplica.appID) { $0.dailyForceQuota = 0 }
      try await replica.handle(.reported(.rejected(AccessToken(try #require(good.token)))))
      try await replica.advance(by: .seconds(902), stride: .seconds(100))
      #expect(replica.fetches == [.start, .report, .doubt, .report, .doubt])
      #expect(try await replica.keys() == good)
      replica.simulator.update(SteppedReplica.appID) { $0.dailyForceQuota = 20 }
      try await replica.advance(by: .seconds(900), stride: .seconds(100))
      #expect(replica.fetches == [.start, .report, .doubt, .report, .doubt, .report])
      #expect(try await replica.keys().token != good.token)
    }
  }

  @Test("with forced refreshes used up, another party's token is found by asking plainly")
  func forceQuotaAndStranger() async throws {
    try await SteppedReplica.run(
      timing: SteppedReplica.leisurely, api: .stableToken
    ) { replica in
      let good = try #require(try await replica.keys().token)
      replica.simulator.schedule(.foreignForce, for: SteppedReplica.appID)
      replica.simulator.update(SteppedReplica.appID) { $0.dailyForceQuota = 0 }
      // Two forces within half a minute are one.
      try await replica.advance(by: .seconds(40))
      try await replica.handle(.reported(.rejected(AccessToken(good))))
      try await replica.advance(by: .seconds(2))
      let token = try #require(try await replica.keys().token)
      #expect(token != good)
      #expect(replica.fetches == [.start, .report, .doubt])
      #expect(replica.simulator.judge(token).isLive)
    }
  }

  private static let failuresMetric = #"wechat_token_consecutive_failures{account="default"}"#

  /// The first failure is told with all that an operator needs, and nothing that is secret.
  private static func checkLog(_ replica: SteppedReplica, _ row: ErrorRow) throws {
    let line = try #require(
      replica.log.told.last { $0.fields["condition"] == "refresh_failing" })
    #expect(line.message == told)
    let isError = row.patience.isAlarm && row.patience != .nextMinute
    #expect(line.level == (isError ? "error" : "warning"))
    #expect(line.fields["account"] == "default")
    #expect(line.fields["count"] == "1")
    #expect(line.fields["wechat.errcode"] == row.code.map(String.init))
    #expect(line.fields["error"]?.contains(row.says) == true, "\(line.text)")
    let retryIn = try #require(line.fields["refresh.retry_in_seconds"].flatMap { Double($0) })
    #expect(row.patience.wait(after: 1).contains(.milliseconds(Int64((retryIn * 1000).rounded()))))
    let hasRequestID =
      row.code.map { ![-1, 45011].contains($0) } == true && row.patience.isAlarm
    #expect((line.fields["wechat.rid"]?.utf8.count == 26) == hasRequestID, "\(line.text)")
    if row.code == 40164 {
      #expect(line.fields["wechat.egress_address"]?.hasPrefix("127.") == true)
    }
    for line in replica.log.lines {
      #expect(!line.text.contains(SteppedReplica.secret))
      #expect(!line.text.contains("appid="))
      for token in replica.simulator.audit.mints().compactMap(\.token) {
        #expect(!line.text.contains(token))
      }
    }
  }

  /// What the keys are while the failure lasts: as they were, or, when WeChat may have minted, the
  /// same token until 290 s after the first such request.
  private static func held(
    _ replica: SteppedReplica, _ row: ErrorRow, good: SteppedReplica.Keys
  ) async throws -> SteppedReplica.Keys {
    guard row.patience == .unknown else { return good }
    let held = try await replica.keys()
    let end = replica.redisMilliseconds + Timing.certain.wholeMilliseconds
    #expect(held.token == good.token)
    #expect(held.gone == end && held.expiresInGone == end)
    #expect(held.expiresIn == (end - 120_000) / 1000)
    return held
  }

  /// The next token is WeChat's newest, and nothing of the failure is left.
  private static func checkHealed(
    _ replica: SteppedReplica, _ row: ErrorRow, good: SteppedReplica.Keys
  ) async throws {
    let token = try await replica.keys().token
    #expect(token != good.token)
    #expect(token == replica.simulator.newestToken(of: SteppedReplica.appID))
    #expect(replica.failures.inARow == 0 && replica.failures.last == nil)
    #expect(replica.keeper.accounts[0].wanted == nil)
    #expect(replica.metric(failuresMetric) == 0)
    let line = try #require(
      replica.log.told.last { $0.fields["event"] == "token.new" },
      "\(replica.log.told.map(\.text))")
    #expect(line.level == "info")
    let end = try #require(
      replica.log.told.last { $0.fields["condition"] == "refresh_failing" })
    #expect(end.fields["event"] == "condition.ended" && end.level == "notice")
    // What may have minted is fetched over once, when no straggler can follow; then all is quiet.
    let attempts = replica.attempts
    try await replica.advance(by: .seconds(105), stride: row.patience.stride)
    #expect(replica.attempts == attempts)
    try await replica.advance(by: .seconds(10), stride: row.patience.stride)
    #expect(replica.attempts == attempts + (row.patience == .unknown ? 1 : 0))
    try await replica.advance(by: .seconds(300), stride: row.patience.stride)
    #expect(replica.attempts == attempts + (row.patience == .unknown ? 1 : 0))
    let last = try #require(try await replica.keys().token)
    #expect(last == replica.simulator.newestToken(of: SteppedReplica.appID))
    #expect(replica.simulator.judge(last).isLive)
  }
}

extension ErrorRow.Patience {
  /// How many failures in a row are looked at: doubling waits, until they are as long as they get.
  fileprivate var attempts: Int {
    switch self {
    case .known, .unknown: 8
    case .nextMinute, .people, .quota: 3
    case .refusedForAnHour, .refusedForADay: 2
    }
  }

  /// The times to keep while so long passes.
  fileprivate var timing: Timing { isAlarm ? SteppedReplica.leisurely : Timing() }

  /// How coarsely the time of a wait may pass.
  fileprivate var stride: Duration { isAlarm ? .seconds(100) : .zero }
}
