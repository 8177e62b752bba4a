import Testing
import TokenCore

@Suite struct ValueTests {
  @Test(arguments: [
    ("a", true), ("A.b_c-9", true), ("", false), ("default", false), ("a b", false),
    ("{a}", false), ("é", false), (String(repeating: "x", count: 64), true),
    (String(repeating: "x", count: 65), false),
  ])
  func `an account's name has 1 to 64 plain characters`(_ name: String, _ isGood: Bool) {
    #expect((AccountName(name) != nil) == isGood)
  }

  @Test(arguments: [
    ("default", "default"), ("shop", "shop"), ("shop/access_token", nil), ("shop/x", nil),
    ("/jsapi_ticket", nil), ("", nil), ("shop/", nil),
  ])
  func `a credential is written as its account, or as account and kind`(
    _ text: String, _ shown: String?
  ) {
    #expect(CredentialID(text)?.description == shown)
  }

  @Test(arguments: [
    ("pod-1.example", true), ("", false), ("a:b", false),
    (String(repeating: "x", count: 128), true), (String(repeating: "x", count: 129), false),
  ])
  func `an instance's name has 1 to 128 plain characters`(_ name: String, _ isGood: Bool) {
    #expect((InstanceID(name) != nil) == isGood)
  }

  @Test func `versions compare as two integers, the epoch first`() {
    #expect(version(9, 10) < version(10, 1))
    #expect(version(10, 9) < version(10, 10))
    #expect(version(10, 1) == version(10, 1))
    #expect("\(version(10, 2))" == "10.2")
  }

  @Test func `a token shows itself in no description`() {
    let token = AccessToken("secret")
    let fetched = FetchedToken(token: token, lifetime: .seconds(1), sentAt: .origin)
    for text in ["\(token)", "\(fetched)", String(reflecting: token), String(reflecting: fetched)] {
      #expect(!text.contains("secret"))
    }
  }

  @Test func `durations convert without overflow`() {
    #expect(Duration.milliseconds(1500).wholeMilliseconds == 1500)
    #expect(Duration.seconds(-2).wholeNanoseconds == -2_000_000_000)
    #expect(Duration.seconds(Int64.max).wholeNanoseconds == .max / 2)
    #expect(Duration.seconds(Int64.min + 1).wholeNanoseconds == .min / 2)
    #expect(Moment.origin + .seconds(2) - (.origin + .milliseconds(500)) == .milliseconds(1500))
  }

  @Test func `the defaults fit, and their boundaries are exact`() {
    #expect(Timing().violations.isEmpty)
    var timing = Timing()
    timing.apiTimeout = .milliseconds(7849)
    #expect(timing.violations.isEmpty)
    timing.apiTimeout = .milliseconds(7850)
    #expect(!timing.violations.isEmpty)
  }

  @Test(arguments: [(7200, 120, 180), (600, 120, 180), (400, 100, 150), (120, 30, 45), (8, 2, 3)])
  func `margins shrink with the life`(_ life: Int, _ client: Int, _ refresh: Int) {
    let margins = Margins()
    #expect(margins.client(lifetime: .seconds(life)) == .seconds(client))
    #expect(margins.refresh(lifetime: .seconds(life)) == .seconds(refresh))
  }
}
