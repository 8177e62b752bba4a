import Testing

@testable import TokenCore

/// Keys that are there when the token's life is over.
@Suite struct LeftoverTests {
  private static let outputs =
    Output.own(Margins()) + [
      Output(key: .other("sdk"), content: .token(.plain))
    ]

  // Where WeChat refuses us for hours, other software may fetch for itself: its token is not taken
  // away from it again and again.
  @Test func `what other software has written since is not ours to mend`() {
    let begin = RedisTime(milliseconds: 1_000_000)
    let version = Version(epoch: Epoch(1), sequence: 1)
    var view = AccountView(now: begin)
    view.committed = version
    view.fetchedAt = begin
    view.expiresAt = begin + .seconds(100)
    view.lifetime = .seconds(100)
    view.token = AccessToken("T1")
    view.tokenRemaining = .seconds(100)
    view.tokenMatchesRecord = true
    var published = Published()
    published.observe(view, sentAt: .origin, at: .origin) { _ in nil }

    let later = Moment.origin + .seconds(200)
    view.now = begin + .seconds(200)
    view.token = nil
    view.tokenRemaining = nil
    view.tokenMatchesRecord = false
    published.observe(view, sentAt: later, at: later) { _ in nil }
    func isDamaged(expiry: String?, sdk: String) -> Bool {
      view.others = [
        HeldOutput(text: expiry, remaining: expiry == nil ? nil : .seconds(500)),
        HeldOutput(text: sdk, remaining: .seconds(500)),
      ]
      return published.isDamaged(view, Self.outputs, at: later)
    }
    #expect(!isDamaged(expiry: nil, sdk: "theirs"))
    #expect(isDamaged(expiry: nil, sdk: "T1"), "it outlasts its life")
    #expect(isDamaged(expiry: "975", sdk: "theirs"), "our own key says nothing else")
  }

  @Test func `a token of our own that could not be replaced in time is no foreign write`() {
    func view(_ token: String, _ number: Int64) -> AccountView {
      var view = AccountView(now: RedisTime(milliseconds: 1_000_000))
      view.committed = Version(epoch: Epoch(1), sequence: number)
      view.fetchedAt = view.now
      view.expiresAt = view.now + .seconds(100)
      view.lifetime = .seconds(100)
      view.token = AccessToken(token)
      view.tokenRemaining = .seconds(100)
      view.tokenMatchesRecord = true
      return view
    }
    var published = Published()
    published.observe(view("T1", 1), sentAt: .origin, at: .origin) { _ in nil }
    var second = view("T2", 2)
    published.observe(second, sentAt: .origin, at: .origin) { _ in nil }
    func overwritten(_ sdk: String) -> Bool {
      second.others = [
        HeldOutput(text: "980", remaining: .seconds(100)),
        HeldOutput(text: sdk, remaining: .seconds(100)),
      ]
      return !published.overwritten(second, Self.outputs).isEmpty
    }
    #expect(!overwritten("T2") && !overwritten("T1"))
    #expect(overwritten("theirs"))
  }
}
