import Testing
import TokenCore

@testable import Sidecar

/// What the list and the channel say, as the keeper takes it.
@Suite struct HintTests {
  private static let keeper = Keeper(
    instance: InstanceID("a")!, accounts: [.unnamed], timing: Timing(), margins: Margins(),
    generator: SystemRandomNumberGenerator())
  private static let digest = String(repeating: "a1", count: 32)

  @Test(
    "a digest is a report also when nobody here has the token, and goes back to the list as it was",
    arguments: [digest, digest.uppercased()])
  func digests(digest: String) throws {
    let hint = try #require(Hint(report: Array("{\"sha256\":\"\(digest)\"}".utf8)))
    let event = hint.event(for: Self.keeper.view, at: .origin)
    #expect(event == .reported(.rejectedDigest(Self.digest)))
    #expect(Hint(.rejectedDigest(Self.digest)).item == "{\"sha256\":\"\(Self.digest)\"}")
  }

  @Test(
    "what is neither a token nor one of the objects is nothing",
    arguments: [
      "", " ", "two words", "{", "{}", "{\"sha256\":\"short\"}", "{\"force\":\"yes\"}", "微信",
    ])
  func nonsense(item: String) {
    #expect(Hint(report: Array(item.utf8)) == nil)
  }

  @Test("a force for an account that nobody has is nothing")
  func unknownAccount() throws {
    let hint = try #require(Hint(report: Array(#"{"force":true,"account":"nobody"}"#.utf8)))
    #expect(hint.event(for: Self.keeper.view, at: .origin) == nil)
  }

  @Test("what the leader says of a limit is read as it was written, within a day")
  func limits() throws {
    let shop = try #require(AccountName("shop"))
    for hint in [Hint.limited(shop, .milliseconds(29_500)), .limited(.unnamed, .zero)] {
      #expect(Hint(event: Array(try #require(hint.event).utf8)) == hint)
    }
    for text in [
      #"{"event":"limited","account":"shop"}"#,
      #"{"event":"limited","account":"sh op","retry_after_ms":1}"#,
      #"{"event":"limited","account":"shop","retry_after_ms":-1}"#,
      #"{"event":"limited","account":"shop","retry_after_ms":86400001}"#,
    ] {
      #expect(Hint(event: Array(text.utf8)) == nil)
    }
  }

  @Test("a limit is known until it is over, the token changed, or another replica leads")
  func hears() throws {
    let shop = try #require(AccountName("shop"))
    let at = Moment.origin
    for end in [Hint.tokenChanged(shop), .leadershipChanged] {
      let limits = HeardLimits()
      #expect(limits.wait(shop, at: at) == nil)
      limits.hear(.limited(shop, .seconds(30)), at: at)
      limits.hear(.tokenChanged(.unnamed), at: at)
      limits.hear(.wake, at: at)
      #expect(limits.wait(shop, at: at + .seconds(10)) == .seconds(20))
      #expect(limits.wait(.unnamed, at: at + .seconds(10)) == nil)
      #expect(limits.wait(shop, at: at + .seconds(30)) == nil)
      limits.hear(end, at: at)
      #expect(limits.wait(shop, at: at + .seconds(10)) == nil)
    }
  }
}
