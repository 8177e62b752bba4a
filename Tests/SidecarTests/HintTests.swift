import Testing
import TokenCore

@testable import Sidecar

/// What the list and the channel say, as the keeper takes it.
@Suite struct HintTests {
  static let keeper = Keeper(
    instance: InstanceID("a")!, accounts: [.unnamed], timing: Timing(), margins: Margins(),
    generator: SystemRandomNumberGenerator())
  private static let digest = String(repeating: "a1", count: 32)

  @Test(
    "a digest is a report also when nobody here has the token, and goes back to the list as it was",
    arguments: [digest, digest.uppercased()])
  func digests(digest: String) throws {
    let hint = try #require(ReportItem(Array("{\"sha256\":\"\(digest)\"}".utf8)))
    let event = hint.event(for: Self.keeper.view, at: .origin)
    #expect(event == .reported(.rejectedDigest(Self.digest)))
    #expect(ReportItem(.rejectedDigest(Self.digest)).text == "{\"sha256\":\"\(Self.digest)\"}")
  }

  @Test(
    "what is neither a token nor one of the objects is nothing",
    arguments: [
      "", " ", "two words", "{", "{}", "{\"sha256\":\"short\"}", "{\"force\":\"yes\"}", "微信",
    ])
  func nonsense(item: String) {
    #expect(ReportItem(Array(item.utf8)) == nil)
  }

  @Test(
    "a token is understood as clients and serializers leave it",
    arguments: [
      "TOKEN_1-2\n", "  TOKEN_1-2\r\n", "\"TOKEN_1-2\"", "\"TOKEN_1-2\\n\"\n",
      "\"\\u0054OKEN_1-2\"",
      "s:9:\"TOKEN_1-2\";",
    ])
  func serialized(item: String) {
    #expect(ReportItem(Array(item.utf8)) == .rejected(AccessToken("TOKEN_1-2")))
  }

  @Test("an object is understood as a string of JSON, and between blanks")
  func serializedObject() {
    for item in [" {\"force\":true}\n", "\"{\\\"force\\\":true}\"", "s:14:\"{\"force\":true}\";"] {
      #expect(ReportItem(Array(item.utf8)) == .force(.unnamed), "\(item)")
    }
    for item in ["\"\"", "\"two words\"", "s:3:\"ab\";x y", "\"\"TOKEN\"\" x"] {
      #expect(ReportItem(Array(item.utf8)) == nil, "\(item)")
    }
  }

  @Test(
    "what means nothing is told by its form, and never by what it holds",
    arguments: [
      (Array("{\"secret\":1}".utf8), "begins with {: an object of JSON that asks for nothing"),
      (Array("{secret".utf8), "begins with {: no JSON"),
      (Array("[ \"secret\" ]".utf8), "begins with [: a list"),
      (Array("secret words".utf8), "12 bytes, text with characters that no token has"),
      (Array("a:1:{i:0;s:2:\"secret \";}".utf8), "serialized by PHP"), (Array(" \n".utf8), "blank"),
      ([0xac, 0xed, 0x00, 0x05, 0x74], "binary, with 0xac 0xed at the beginning"),
      ([], "0 bytes"),
    ])
  func forms(item: [UInt8], words: String) {
    #expect(ReportItem(item) == nil)
    let form = ReportItem.form(of: item)
    #expect(form.contains(words) && !form.contains("secret"), "\(form)")
  }

  @Test("an ignored item is told of once an hour")
  func ignored() {
    let ignored = IgnoredReports()
    let now = ContinuousClock.now
    #expect(ignored.isNews(at: now))
    #expect(!ignored.isNews(at: now + .seconds(3599)))
    #expect(ignored.isNews(at: now + .seconds(3600)))
  }

  @Test("a force for an account that nobody has is nothing")
  func unknownAccount() throws {
    let hint = try #require(ReportItem(Array(#"{"force":true,"account":"nobody"}"#.utf8)))
    #expect(hint.event(for: Self.keeper.view, at: .origin) == nil)
  }

  @Test("what the leader says of a limit is read as it was written, within a day")
  func limits() throws {
    let shop = try #require(CredentialID("shop"))
    for hint in [Announcement.limited(shop, .milliseconds(29_500)), .limited(.unnamed, .zero)] {
      #expect(Announcement(Array(try #require(hint.text).utf8)) == hint)
    }
    for text in [
      #"{"event":"limited","account":"shop"}"#,
      #"{"event":"limited","account":"sh op","retry_after_ms":1}"#,
      #"{"event":"limited","account":"shop","retry_after_ms":-1}"#,
      #"{"event":"limited","account":"shop","retry_after_ms":86400001}"#,
    ] {
      #expect(Announcement(Array(text.utf8)) == nil)
    }
  }

  @Test("a member of a wrong type makes an object none of ours, on the list and on the channel")
  func wrongTypes() {
    #expect(ReportItem(Array(#"{"force":true,"event":{}}"#.utf8)) == nil)
    #expect(ReportItem(Array(#"{"wake":true,"retry_after_ms":"x"}"#.utf8)) == nil)
    #expect(Announcement(Array(#"{"event":"leader","force":"yes"}"#.utf8)) == nil)
  }

  @Test("a wake names its account, and what names none wakes all")
  func wakes() throws {
    let shop = try #require(CredentialID("shop"))
    for hint in [ReportItem.wake(shop), .wake(.unnamed), .wake(nil)] {
      #expect(ReportItem(Array(hint.text.utf8)) == hint)
    }
    #expect(ReportItem(Array(#"{"wake":true,"account":"sh op"}"#.utf8)) == .wake(nil))
  }

  @Test("a limit is known until it is over, the token changed, or another replica leads")
  func hears() throws {
    let shop = try #require(CredentialID("shop"))
    let at = Moment.origin
    for end in [Announcement.tokenChanged(shop), .leadershipChanged] {
      let limits = HeardLimits()
      #expect(limits.wait(shop, at: at) == nil)
      limits.hear(.limited(shop, .seconds(30)), at: at)
      limits.hear(.tokenChanged(.unnamed), at: at)
      #expect(limits.wait(shop, at: at + .seconds(10)) == .seconds(20))
      #expect(limits.wait(.unnamed, at: at + .seconds(10)) == nil)
      #expect(limits.wait(shop, at: at + .seconds(30)) == nil)
      limits.hear(end, at: at)
      #expect(limits.wait(shop, at: at + .seconds(10)) == nil)
    }
  }
}
