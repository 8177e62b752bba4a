import Testing
import TokenCore

@testable import Sidecar

@Suite struct EventLogTests {
  private static let words = Words("It happened", "发生了")

  private func entry(
    _ account: String?, at second: Int64, words: Words = words, detail: String? = nil
  ) -> EventLog.Entry {
    EventLog.Entry(
      .warning, words, account: account.flatMap { CredentialID($0) },
      detail: detail.map { Words($0, $0) }, at: Timestamp(second: second))
  }

  @Test func `what repeats is one entry with a count, its first and its last time`() {
    let log = EventLog()
    for second in [10, 400, 900] as [Int64] { log.add(entry("shop", at: second)) }
    #expect(log.all.count == 1)
    #expect(log.all[0].count == 3)
    #expect(log.all[0].firstAt == Timestamp(second: 10))
    #expect(log.all[0].lastAt == Timestamp(second: 900))
    #expect(log.all[0].account == CredentialID("shop"))
  }

  @Test func `what happens to many accounts at once is one entry, later it is another`() {
    let log = EventLog()
    for number in 1...250 { log.add(entry("a\(number)", at: 10)) }
    #expect(log.all.count == 1)
    #expect(log.all[0].count == 250)
    #expect(log.all[0].isOfSeveral)
    #expect(log.all[0].account == nil)
    log.add(entry("b", at: 100))
    #expect(log.all.count == 2)
    #expect(log.all[1].account == CredentialID("b"))
  }

  @Test func `another reason is another entry`() {
    let log = EventLog()
    log.add(entry("shop", at: 1, detail: "40164"))
    log.add(entry("shop", at: 2, detail: "40125"))
    #expect(log.all.count == 2)
  }

  @Test func `no more than a hundred are kept, the latest`() {
    let log = EventLog()
    for number in 1...250 {
      log.add(entry(nil, at: Int64(number), words: Words("event \(number)", "事件 \(number)")))
    }
    #expect(log.all.count == EventLog.capacity)
    #expect(log.all.last?.words.english == "event 250")
    #expect(log.all.first?.words.english == "event 151")
  }

  @Test func `notes and changes of what is wrong become events, reminders do not`() throws {
    let log = EventLog()
    let shop = try #require(CredentialID("shop"))
    log.add(.becameLeader(Epoch(4)))
    log.add(
      .refreshed(
        shop, .schedule, Version(epoch: Epoch(4), sequence: 1), lifetime: .seconds(7200),
        isUnchanged: false))
    log.add(.refreshStarted(shop, .schedule, Version(epoch: Epoch(4), sequence: 2)))
    let dead = Condition(.noToken, .critical, account: shop, since: Timestamp(second: 5))
    log.add(HealthBook.Change.began(dead))
    log.add(HealthBook.Change.lasts(dead))
    log.add(HealthBook.Change.ended(dead, lasted: .seconds(3)))
    #expect(
      log.all.map(\.words.english) == [
        "This replica leads", "A new token is in Redis", "There is no live token",
        "Over: There is no live token",
      ])
    #expect(log.all.map(\.tone) == [.good, .good, .critical, .good])
  }
}
