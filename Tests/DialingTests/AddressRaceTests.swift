import NIOCore
import Testing

@testable import Dialing

/// What is looked up and tried when: transcripts.
@Suite("A race of addresses")
struct AddressRaceTests {
  private static let start = ContinuousClock.now
  private static let v4 = address("10.0.0.1")
  private static let otherV4 = address("10.0.0.2")
  private static let v6 = address("fd00::1")
  private static let otherV6 = address("fd00::2")

  private static func address(_ text: String) -> SocketAddress {
    guard let address = try? SocketAddress(ipAddress: text, port: 6379) else {
      preconditionFailure("\(text) is an address")
    }
    return address
  }

  private static func at(_ milliseconds: Int) -> ContinuousClock.Instant {
    start + .milliseconds(milliseconds)
  }

  private static func race(
    _ family: Dialer.Family = .any, late: [SocketAddress] = [], lastGood: [SocketAddress] = []
  ) -> AddressRace {
    AddressRace(
      family: family, start: start, deadline: at(5000), late: late, lastGood: lastGood)
  }

  private let v4 = Self.v4
  private let otherV4 = Self.otherV4
  private let v6 = Self.v6
  private let otherV6 = Self.otherV6
  private func at(_ milliseconds: Int) -> ContinuousClock.Instant { Self.at(milliseconds) }

  @Test("an answer for both families within 50 ms is all that is asked, and its order counts")
  func ordinary() {
    var race = Self.race()
    #expect(race.begin(at: at(0)) == [.lookUp(.any), .wake(at: at(50))])
    // The system prefers IPv4 here, and the families take turns.
    #expect(
      race.handle(.answered(.any, [v4, otherV4, v6, otherV6]), at: at(20))
        == [.connect(v4), .wake(at: at(270))])
    #expect(race.handle(.timePassed, at: at(270)) == [.connect(v6), .wake(at: at(520))])
    #expect(
      race.handle(.connectFailed(v4), at: at(300)) == [.connect(otherV4), .wake(at: at(550))])
    #expect(race.handle(.timePassed, at: at(550)) == [.connect(otherV6), .wake(at: at(5000))])
    #expect(race.handle(.connected(v6), at: at(560)) == [.end(.connected(v6))])
    #expect(race.handle(.connected(otherV6), at: at(561)) == [])
  }

  @Test("without an answer after 50 ms each family is asked apart, and the first to come is tried")
  func silentFamily() {
    var race = Self.race()
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.timePassed, at: at(50))
        == [.lookUp(.ipv4), .lookUp(.ipv6), .wake(at: at(5000))])
    #expect(
      race.handle(.answered(.ipv4, [v4]), at: at(51)) == [.connect(v4)])
    #expect(race.handle(.connected(v4), at: at(52)) == [.end(.connected(v4))])
  }

  @Test("an answer for both families in time overtakes what one of them brought")
  func overtaken() {
    var race = Self.race()
    _ = race.begin(at: at(0))
    _ = race.handle(.timePassed, at: at(50))
    #expect(
      race.handle(.answered(.ipv4, [v4, otherV4]), at: at(60))
        == [.connect(v4), .wake(at: at(310))])
    #expect(race.handle(.answered(.any, [v6, v4, otherV4]), at: at(70)) == [])
    // IPv6 is next: the system would have begun with it.
    #expect(race.handle(.timePassed, at: at(310)) == [.connect(v6), .wake(at: at(560))])
    // Nobody waits for it any more.
    #expect(race.handle(.answered(.ipv6, [otherV6]), at: at(320)) == [])
    #expect(race.found == [v6, v4, otherV4])
  }

  @Test(
    "one family that is wanted is the only one that is asked",
    arguments: [
      Dialer.Family.ipv4, .ipv6,
    ])
  func oneFamily(family: Dialer.Family) {
    var race = Self.race(family)
    #expect(race.begin(at: at(0)) == [.lookUp(family), .wake(at: at(5000))])
    #expect(race.handle(.timePassed, at: at(60)) == [.wake(at: at(5000))])
    let address = family == .ipv4 ? v4 : v6
    #expect(race.handle(.answered(family, [address]), at: at(2200)) == [.connect(address)])
  }

  @Test("a failed look-up is asked again family by family before it counts")
  func failing() {
    var race = Self.race()
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.lookUpFailed(.any, reason: "no"), at: at(5))
        == [.lookUp(.ipv4), .lookUp(.ipv6), .wake(at: at(5000))])
    #expect(race.handle(.lookUpFailed(.ipv6, reason: "nor this"), at: at(6)) == [])
    #expect(
      race.handle(.lookUpFailed(.ipv4, reason: "nor that"), at: at(7))
        == [.end(.notResolved(reason: "no"))])
  }

  @Test("addresses that were good once are tried when the look-up has failed, and never before")
  func lastGood() {
    var race = Self.race(lastGood: [v4])
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.lookUpFailed(.any, reason: "no"), at: at(5))
        == [.lookUp(.ipv4), .lookUp(.ipv6), .wake(at: at(55))])
    _ = race.handle(.lookUpFailed(.ipv6, reason: "no"), at: at(6))
    #expect(
      race.handle(.lookUpFailed(.ipv4, reason: "no"), at: at(7))
        == [.connect(v4), .wake(at: at(5000))])
    #expect(
      race.handle(.connectFailed(v4), at: at(8)) == [.end(.notResolved(reason: "no"))])
  }

  @Test("addresses that were good once are tried when the look-up takes half of the time")
  func lastGoodInSilence() {
    var race = Self.race(lastGood: [v4])
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.timePassed, at: at(50)) == [.lookUp(.ipv4), .lookUp(.ipv6), .wake(at: at(2500))])
    #expect(race.handle(.timePassed, at: at(2500)) == [.connect(v4), .wake(at: at(5000))])
    #expect(race.handle(.connected(v4), at: at(2501)) == [.end(.connected(v4))])
  }

  @Test("beside a fresh answer no address that was good once is tried, even when all fail")
  func freshAnswer() {
    var race = Self.race(lastGood: [v4])
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.answered(.any, [otherV4]), at: at(10))
        == [.connect(otherV4), .wake(at: at(5000))])
    #expect(
      race.handle(.connectFailed(otherV4), at: at(3000)) == [.end(.unreachable([otherV4]))])
  }

  @Test("what came too late for an earlier attempt stands in for an answer after 100 ms")
  func late() {
    var race = Self.race(late: [v6])
    _ = race.begin(at: at(0))
    #expect(
      race.handle(.timePassed, at: at(50)) == [.lookUp(.ipv4), .lookUp(.ipv6), .wake(at: at(100))])
    #expect(race.handle(.timePassed, at: at(100)) == [.connect(v6), .wake(at: at(5000))])
    // It leads nowhere: the answer is still waited for.
    #expect(race.handle(.connectFailed(v6), at: at(110)) == [])
    #expect(race.handle(.answered(.any, [v4]), at: at(2200)) == [.connect(v4)])
    #expect(race.handle(.connectFailed(v4), at: at(2201)) == [.end(.unreachable([v6, v4]))])
  }

  @Test("an address that several look-ups have found is tried once")
  func once() {
    var race = Self.race(late: [v4, v4])
    _ = race.begin(at: at(0))
    _ = race.handle(.timePassed, at: at(50))
    #expect(race.handle(.timePassed, at: at(100)) == [.connect(v4), .wake(at: at(5000))])
    #expect(race.handle(.answered(.ipv4, [v4]), at: at(110)) == [])
    #expect(race.found == [v4])
    #expect(race.handle(.timePassed, at: at(400)) == [.wake(at: at(5000))])
  }

  @Test("what came too late for an earlier attempt is not used beside a quick answer")
  func lateAndFresh() {
    var race = Self.race(late: [v6])
    _ = race.begin(at: at(0))
    _ = race.handle(.answered(.any, [v4]), at: at(10))
    #expect(race.handle(.connectFailed(v4), at: at(200)) == [.end(.unreachable([v4]))])
  }

  @Test("when every address has failed, the silent family is not waited for beyond a second")
  func refusedWhileSilent() {
    var race = Self.race()
    _ = race.begin(at: at(0))
    _ = race.handle(.timePassed, at: at(50))
    _ = race.handle(.answered(.ipv4, [v4]), at: at(51))
    #expect(race.handle(.connectFailed(v4), at: at(52)) == [.wake(at: at(1000))])
    #expect(race.handle(.timePassed, at: at(1000)) == [.end(.unreachable([v4]))])
  }

  @Test(
    "at the deadline the outcome says whether the name or the address took long",
    arguments: [
      0, 1, 2, 3,
    ])
  func deadline(progress: Int) {
    var race = Self.race(lastGood: [otherV6])
    _ = race.begin(at: at(0))
    if progress > 0 { _ = race.handle(.answered(.any, [v4, v6]), at: at(1)) }
    if progress > 1 { _ = race.handle(.connectFailed(v4), at: at(2)) }
    if progress > 2 { _ = race.handle(.timePassed, at: at(300)) }
    let outcomes: [AddressRace.Outcome] = [
      .lookUpTimedOut, .connectTimedOut([v4]), .unreachable([v4, v6]), .unreachable([v4, v6]),
    ]
    #expect(race.handle(.timePassed, at: at(5000)) == [.end(outcomes[progress])])
  }

  @Test("an address is tried at once, with nothing looked up")
  func numeric() {
    var race = AddressRace(to: [v4], start: at(0), deadline: at(5000))
    #expect(race.begin(at: at(0)) == [.connect(v4), .wake(at: at(5000))])
    #expect(race.handle(.connectFailed(v4), at: at(1)) == [.end(.unreachable([v4]))])
  }

  @Test("a race that begins after its deadline ends at once")
  func tooLate() {
    var race = AddressRace(family: .any, start: at(6000), deadline: at(5000))
    #expect(race.begin(at: at(6000)) == [.lookUp(.any), .end(.lookUpTimedOut)])
  }
}
