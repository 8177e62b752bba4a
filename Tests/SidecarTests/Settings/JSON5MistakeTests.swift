import Testing

@testable import Sidecar

@Suite struct JSON5MistakeTests {
  @Test(arguments: [
    ("{\n  lease '15s'\n}", "line 2, column 9: expected `:` after the key"),
    ("{\n  lease: '15s'\n  tick: '20s'\n}", "line 3, column 3: expected `,` or `}`"),
    ("{ lease: '15s'", "line 1, column 15: expected `,` or `}`"),
    ("{ api: token }", "line 1, column 8: expected a value, texts in quotes"),
    (
      "{ instance: '微信', api: 'tok",
      "line 1, column 24: expected the text's closing quote on the same line"
    ),
    ("{ /* never closed", "line 1, column 3: expected `*/` at the comment's end"),
    ("{} x", "line 1, column 4: expected the end"),
    ("", "line 1, column 1: expected a value, texts in quotes"),
    ("{ : 1 }", "line 1, column 3: expected a key or `}`"),
  ])
  func `a mistake is told by its place and what would be right`(text: String, expected: String)
    throws
  {
    let mistake = try #require(JSON5Mistake.first(in: Array(text.utf8)))
    #expect(mistake.description == expected)
    #expect(throws: FileProblem("is not valid JSON5: \(expected)")) {
      try FileValue.members(ofJSON5: Array(text.utf8))
    }
  }

  @Test(arguments: [
    "{}", "{ a: 'b', \"c\": [1, 2.5, -3, +4, .5, true, null,], /* d */ // e\n 'f\\'g': {}, }",
    "{ a: 'line \\\n goes on', b: \"it's\", $c_1: Infinity }",
  ])
  func `what the decoder takes has no mistake`(text: String) throws {
    #expect(JSON5Mistake.first(in: Array(text.utf8)) == nil)
    _ = try FileValue.members(ofJSON5: Array(text.utf8))
  }

  @Test func `nesting without end is told and costs no stack`() {
    let bomb = Array(String(repeating: "[", count: 100_000).utf8)
    #expect(JSON5Mistake.first(in: bomb)?.expected == "fewer levels")
    #expect(throws: FileProblem.self) { try FileValue.members(ofJSON5: bomb) }
  }
}
