import Sweeps
import Testing
import TokenCore

@testable import Sidecar

/// Texts that parsers trip over, for the parsers that only their own module sees.
@Suite struct ParserSweepTests {
  @Test("whatever the parsers are given, they answer")
  func answers() {
    for seed in 1...UInt64(1000) {
      var generator = SeededGenerator(seed: seed)
      let text = hostileText(using: &generator)
      if let address = ListenAddress(text) {
        #expect(ListenAddress(address.description) == address)
      }
      if let duration = Duration(written: text) { #expect(duration >= .zero) }
      _ = RedactedURL(text).description
      _ = try? RefreshBody.request(Array(text.utf8))
      _ = try? FileValue.members(ofJSON5: Array(text.utf8))
    }
  }
}
