import Foundation
import Logging
import Testing
import TokenCore

@testable import Sidecar

/// What the log says of conditions and of a quiet day.
@Suite("The journal") struct JournalTests {
  private let log = LogRecorder()
  private let journal: Journal

  init() { journal = Journal(logger: log.logger, metrics: MetricsRegistry()) }

  private static func failing(_ account: String) -> Condition {
    var facts = Condition.Facts()
    facts.code = 40164
    facts.reason = "the address is refused"
    facts.requestID = "rid-1"
    facts.address = "192.0.2.1"
    facts.count = 3
    facts.nextAt = Timestamp(second: 1300)
    return Condition(
      .refreshFailing, .error, account: CredentialID(account), since: Timestamp(second: 940),
      facts: facts)
  }

  private static let now = Timestamp(second: 1000)

  /// The members of a line as JSON has them.
  private func members(_ line: LogRecorder.Line) throws -> [String: Any] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(line.text.utf8)) as? [String: Any])
  }

  @Test("a condition's line has numbers, since when, when next, what to do and where to read")
  func members() throws {
    journal.tell([.began(Self.failing("shop"))], at: Self.now)
    let line = try #require(log.told.first)
    #expect(log.lines.count == 1)
    #expect(line.level == "error")
    #expect(line.message == Condition.Kind.refreshFailing.title.english)
    let members = try members(line)
    #expect(members["event"] as? String == "condition.began")
    #expect(members["condition"] as? String == "refresh_failing")
    #expect(members["account"] as? String == "shop")
    #expect(members["wechat.errcode"] as? Int == 40164)
    #expect(members["count"] as? Int == 3)
    #expect(members["refresh.retry_in_seconds"] as? Double == 300)
    #expect(members["since"] as? String == "1970-01-01T00:15:40.000Z")
    #expect(members["next_attempt_at"] as? String == "1970-01-01T00:21:40.000Z")
    #expect(members["help"] as? String == "/runbook#errcode-40164")
    #expect((members["remedy"] as? String)?.isEmpty == false)
  }

  @Test("its end says how long it lasted, and that it is over")
  func ended() throws {
    journal.tell([.ended(Self.failing("shop"), lasted: .milliseconds(1_080_500))], at: Self.now)
    let line = try #require(log.told.first)
    #expect(line.level == "notice")
    #expect(line.message.hasPrefix("Over: "))
    #expect(try members(line)["duration_seconds"] as? Double == 1080.5)
    #expect(line.fields["remedy"] == nil)
  }

  @Test("250 accounts with one reason are one line with five names, and the rest is for debug")
  func grouped() throws {
    journal.tell((0..<250).map { .lasts(Self.failing("a\($0)")) }, at: Self.now)
    #expect(log.told.count == 1)
    let line = try members(try #require(log.told.first))
    #expect(line["accounts.count"] as? Int == 250)
    #expect(line["accounts"] as? [String] == ["a0", "a1", "a2", "a3", "a4"])
    #expect(line["duration_seconds"] as? Double == 60)
    #expect(log.lines.count == 250)
  }

  @Test("what another replica told is no alarm of this one")
  func heard() {
    var condition = Self.failing("shop")
    condition.observer = "b"
    journal.tell([.began(condition), .ended(condition, lasted: .seconds(1))], at: Self.now)
    #expect(log.told.isEmpty)
    #expect(log.lines.map { $0.fields["observer"] } == ["b", "b"])
  }

  @Test("single failures are for debug: the condition is the alarm")
  func failures() {
    journal.record(
      .refreshFailed(
        .unnamed, .schedule, FetchFailure(.transient, code: -1, reason: "busy"),
        isUnknown: true, inARow: 1, retryIn: .milliseconds(500)), at: .origin)
    journal.record(.conflict(.foreignApp(remaining: nil)), at: .origin)
    journal.record(.diedEarly(.unnamed, lately: 2), at: .origin)
    journal.record(
      .storeStepFailed(nil, StoreFailure(mayHaveRun: false, reason: "OOM", kind: .memory)),
      at: .origin)
    #expect(log.told.isEmpty)
    #expect(log.lines.count == 4)
  }

  @Test(
    "a quiet day takes fewer than 30 lines, however many accounts there are",
    arguments: [1, 12, 250])
  func quietDay(accounts: Int) throws {
    let names = (0..<accounts).compactMap { CredentialID("a\($0)") }
    try #require(names.count == accounts)
    journal.record(.becameLeader(Epoch(1)), at: .origin)
    let refreshes = names.enumerated().flatMap { index, name in
      stride(from: index * 7020 / accounts, to: 86_400, by: 7020).map { ($0, name) }
    }
    for (second, name) in refreshes.sorted(by: { $0.0 < $1.0 }) {
      let version = Version(epoch: Epoch(1), sequence: Int64(second + 1))
      let now: Moment = .origin + .seconds(second)
      journal.record(.refreshStarted(name, .schedule, version), at: now)
      journal.record(
        .refreshed(name, .schedule, version, lifetime: .seconds(7200), isUnchanged: false),
        at: now)
    }
    // The start of the process and of the interface, Redis, and the end.
    let others = 4
    #expect(log.told.count + others < 30, "\(log.told.count)")
    #expect(log.told.count >= 12, "a single account's tokens are all told")
    let withheld = log.told.compactMap { $0.fields["withheld"].flatMap { Int($0) } }
      .reduce(0, +)
    #expect(accounts == 1 ? withheld == 0 : withheld > 100)
  }

  @Test("keys that somebody damages without end do not fill the log")
  func damaged() {
    for second in 0..<86_400 {
      journal.record(.repaired(.unnamed), at: .origin + .seconds(second))
    }
    #expect(log.told.count <= 86_400 / 600 * 8)
  }
}
