import Testing
import TokenCore

@testable import Sidecar

@Suite struct TimingTests {
  @Test func `the defaults fit together`() {
    #expect(Timing().violations == [])
  }

  @Test(arguments: [
    (renew: 300, retry: 200, command: 150, fits: true),
    (renew: 301, retry: 200, command: 150, fits: false),
    (renew: 400, retry: 150, command: 150, fits: true),
    (renew: 500, retry: 200, command: 150, fits: false),
  ])
  func `a lease of two seconds fits when the renewals fit in its first second`(
    renew: Int, retry: Int, command: Int, fits: Bool
  ) {
    let timing = Timing(
      lease: .seconds(2), renew: .milliseconds(renew), retry: .milliseconds(retry),
      tick: .seconds(1), opTimeout: .milliseconds(command), apiTimeout: .milliseconds(500))
    #expect(timing.violations.isEmpty == fits)
  }

  @Test(arguments: [(7849, true), (7850, false), (7851, false)])
  func `a fetch must be over before the lease may be`(milliseconds: Int, fits: Bool) {
    var timing = Timing()
    timing.apiTimeout = .milliseconds(milliseconds)
    #expect(timing.violations.isEmpty == fits)
    #expect(timing.violations.first?.names.first == (fits ? nil : "apiTimeout"))
  }

  @Test(arguments: [(23_999, true), (24_000, false)])
  func `a straggler at WeChat must be over before a doubt is`(milliseconds: Int, fits: Bool) {
    let timing = Timing(
      lease: .seconds(40), renew: .seconds(5), retry: .seconds(2), tick: .seconds(20),
      opTimeout: .seconds(2), apiTimeout: .milliseconds(milliseconds))
    #expect(timing.violations.isEmpty == fits)
  }

  @Test(arguments: [(261, true), (262, false)])
  func `a doubt is noticed and settled before the keys end`(tick: Int, fits: Bool) {
    var timing = Timing()
    timing.tick = .milliseconds(tick * 1000 + 599)
    #expect(timing.violations.isEmpty == fits)
    #expect(timing.violations.first?.names.first == (fits ? nil : "tick"))
  }

  @Test func `a doubt is over before the default margins have a token fetched because of it`() {
    let margin = Margins().refresh(lifetime: .seconds(7200))
    #expect(Timing.straggling + margin < Timing.certain)
    #expect(Timing.certain < Timing.grace)
  }

  @Test(arguments: [(5000, 5000), (20_999, 5001), (3000, 3000)])
  func `WeChat is asked only while the request is processed before its BEGIN counts as over`(
    apiTimeout: Int, freshness: Int
  ) {
    var timing = Timing()
    timing.apiTimeout = .milliseconds(apiTimeout)
    #expect(timing.freshness == .milliseconds(freshness))
    #expect(
      timing.freshness + timing.apiTimeout + Timing.straggler + Timing.stragglerMargin
        <= Timing.straggling)
  }

  @Test(arguments: [
    ("500ms", 500), ("15s", 15_000), ("5m", 300_000), ("2h", 7_200_000), ("0s", 0),
    ("999999999h", 3_599_999_996_400_000),
  ])
  func `durations are digits and a unit`(text: String, milliseconds: Int64) {
    #expect(Duration(written: text) == .milliseconds(milliseconds))
  }

  @Test(arguments: [
    "15", "", "s", "1.5s", "-1s", "+1s", "1 s", "1S", "1sec", "1d", "1s ", "１s", "1000000000s",
  ])
  func `anything else is no duration`(text: String) {
    #expect(Duration(written: text) == nil)
  }

  @Test(arguments: [
    (0, "0s"), (1, "1ms"), (999, "999ms"), (1500, "1.5s"), (66_500, "66.5s"), (90_000, "90s"),
    (300_000, "5m"), (7_200_000, "2h"), (-500, "-500ms"), (-1050, "-1.05s"),
  ])
  func `durations are written for people`(milliseconds: Int, text: String) {
    #expect(Duration.milliseconds(milliseconds).written == text)
  }
}
