import Foundation

/// A Swift file as its words: what it declares, and what it names.
///
/// Not a parser: comments and texts are left out, braces say what stands in what, and a few words
/// before a name say whether it is declared there. That is enough for what is asked of it.
struct SwiftSource {
  /// A name where it is declared.
  struct Declaration: Hashable {
    enum Kind: Hashable { case type, ofType, ofValue }

    let name: String
    let kind: Kind
    /// The type whose member it is; nil at the top of the file.
    let owner: String?
    let isOfProtocol: Bool
    let isOpenToAll: Bool
    let line: Int
  }

  /// A name where it is used.
  struct Use {
    /// What stands before its dot.
    enum Base: Equatable {
      case none, nothing, value
      case type(String)
    }

    let name: String
    let base: Base
    /// The types that it stands in, the outermost first.
    let within: [String]
    let line: Int
  }

  private struct Word {
    let text: String
    let line: Int
    let start: Int
    let end: Int
    var isName: Bool { text.utf8.first.map(SwiftSource.beginsName) ?? false }
  }

  private enum Scope {
    case code
    case type(String, isEnum: Bool, isProtocol: Bool)
  }

  private(set) var declarations: [Declaration] = []
  private(set) var uses: [Use] = []

  private var scopes: [Scope] = []
  private var words: [Word] = []
  private var declared: Set<Int> = []

  init(_ text: String) {
    words = Self.words(of: Array(text.utf8))
    var pending: Scope?
    var parentheses = 0
    for index in words.indices {
      declare(at: index, &pending)
      switch words[index].text {
      case "(": parentheses += 1
      case ")": parentheses -= 1
      case "{":
        scopes.append(parentheses == 0 ? pending ?? .code : .code)
        if parentheses == 0 { pending = nil }
      case "}": _ = scopes.popLast()
      default: use(at: index)
      }
    }
  }

  // MARK: Declarations

  private static let typeWords: Set = ["struct", "class", "enum", "protocol", "actor", "extension"]
  private static let memberWords: Set = ["func", "let", "var", "typealias"]
  private static let modifiers: Set = [
    "static", "class", "package", "public", "private", "fileprivate", "internal", "mutating",
    "final", "override", "nonisolated", "lazy", "weak", "indirect", "set", "(", ")",
  ]

  private func word(_ index: Int) -> String {
    words.indices.contains(index) ? words[index].text : ""
  }

  private mutating func declare(at index: Int, _ pending: inout Scope?) {
    let keyword = words[index].text
    guard word(index - 1) != "." else { return }
    let next = word(index + 1) == "`" ? index + 2 : index + 1
    let isName = words.indices.contains(next) && words[next].isName
    if Self.typeWords.contains(keyword), isName, !Self.memberWords.contains(words[next].text) {
      var name = next
      while word(name + 1) == "." { name += 2 }
      if keyword != "extension" { add(next, .type, before: index) }
      pending = .type(
        words[name].text, isEnum: keyword == "enum" || keyword == "extension",
        isProtocol: keyword == "protocol")
    } else if Self.memberWords.contains(keyword), isName {
      let isOfType = modifiersBefore(index).contains { $0 == "static" || $0 == "class" }
      add(next, keyword == "typealias" ? .type : isOfType ? .ofType : .ofValue, before: index)
    } else if keyword == "case", case .type(_, isEnum: true, _)? = scopes.last {
      declareCases(after: index)
    }
  }

  /// The names of `case one, two(Content) = 2`.
  private mutating func declareCases(after start: Int) {
    var depth = 0
    var isNext = true
    for index in words.indices.dropFirst(start + 1) {
      let text = words[index].text
      switch text {
      case "(", "[", "{", "<": depth += 1
      case ")", "]", "}", ">": depth -= 1
      case "," where depth == 0: isNext = true
      default:
        guard depth == 0 else { continue }
        let isOnNewLine = words[index].line > words[index - 1].line
        if isOnNewLine, word(index - 1) != "," { return }
        if isNext, words[index].isName {
          add(index, .ofType, before: start)
          isNext = false
        }
      }
      if depth < 0 { return }
    }
  }

  private func modifiersBefore(_ index: Int) -> [String] {
    words[..<index].reversed().lazy.map(\.text).prefix { Self.modifiers.contains($0) }.map { $0 }
  }

  private mutating func add(_ index: Int, _ kind: Declaration.Kind, before keyword: Int) {
    declared.insert(index)
    var owner: String?
    var isOfProtocol = false
    switch scopes.last {
    case .code?: return
    case .type(let name, _, let isProtocol)?: (owner, isOfProtocol) = (name, isProtocol)
    case nil: break
    }
    declarations.append(
      Declaration(
        name: words[index].text, kind: kind, owner: owner, isOfProtocol: isOfProtocol,
        isOpenToAll: modifiersBefore(keyword).contains("public"), line: words[index].line))
  }

  // MARK: Uses

  private static let keywords: Set = [
    "return", "try", "await", "in", "case", "is", "as", "if", "else", "guard", "while", "for",
    "where", "switch", "throw", "throws", "repeat", "do", "default", "some", "any",
  ]

  private mutating func use(at index: Int) {
    let used = words[index]
    guard used.isName, !declared.contains(index) else { return }
    let base = base(of: index)
    // A label or a parameter says what an argument is, and reads nothing.
    let opening: Set = ["(", ",", "["]
    let isFirst = opening.contains(word(index - 1))
    let isSecond = index > 1 && words[index - 1].isName && opening.contains(word(index - 2))
    let isLabel = word(index + 1) == ":" && words[index + 1].start == used.end
    guard base != .none || !isLabel || !(isFirst || isSecond) else { return }
    uses.append(
      Use(
        name: used.text, base: base,
        within: scopes.compactMap { if case .type(let name, _, _) = $0 { name } else { nil } },
        line: used.line))
  }

  private func base(of index: Int) -> Use.Base {
    guard word(index - 1) == "." else { return .none }
    guard words.indices.contains(index - 2) else { return .nothing }
    let before = words[index - 2]
    // The end of a range.
    if before.text == "." { return .none }
    if before.isName, !Self.keywords.contains(before.text) {
      return before.text.first?.isUppercase == true ? .type(before.text) : .value
    }
    if before.text.first?.isNumber == true || before.text.hasPrefix("$") { return .value }
    // `value?.name` is an optional's, `truth ? .one : .other` is not.
    if before.text == "?" || before.text == "!" {
      let optional = words[index - 3]
      let isValue = optional.isName || [")", "]", "}"].contains(optional.text)
      return isValue && before.start == optional.end ? .value : .nothing
    }
    return [")", "]", "}", "\"", "\\", "`"].contains(before.text) ? .value : .nothing
  }

  // MARK: Words

  private static func beginsName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "_"), 0x80...:
      true
    default: false
    }
  }

  private static func isOfName(_ byte: UInt8) -> Bool {
    beginsName(byte) || (0x30...0x39).contains(byte)
  }

  private static func words(of bytes: [UInt8]) -> [Word] {
    var reader = Reader(bytes: bytes)
    reader.readCode(untilParenthesis: false)
    return reader.words
  }

  /// Takes a file apart; texts are left out but for what they interpolate.
  private struct Reader {
    private static let comment = Array("//".utf8)
    private static let quote = Array("\"".utf8)
    private static let longQuote = Array("\"\"\"".utf8)
    private static let rawQuote = Array("#\"".utf8)
    private static let number = Array("#".utf8)
    private static let interpolation = Array("\\(".utf8)
    private static let rawInterpolation = Array("\\#(".utf8)

    private let bytes: [UInt8]
    private(set) var words: [Word] = []
    private var place = 0
    private var line = 1

    init(bytes: [UInt8]) { self.bytes = bytes }

    private func starts(_ text: [UInt8]) -> Bool { bytes[place...].starts(with: text) }

    private mutating func step() {
      if bytes[place] == UInt8(ascii: "\n") { line += 1 }
      place += 1
    }

    private mutating func skip(while isMeant: (UInt8) -> Bool) {
      while place < bytes.count, isMeant(bytes[place]) { step() }
    }

    private mutating func add(from start: Int) {
      words.append(
        Word(
          text: String(decoding: bytes[start..<place], as: UTF8.self), line: line, start: start,
          end: place))
    }

    mutating func readCode(untilParenthesis: Bool) {
      var depth = 0
      while place < bytes.count {
        let start = place
        let byte = bytes[place]
        if byte == UInt8(ascii: "/"), starts(Self.comment) {
          skip { $0 != UInt8(ascii: "\n") }
        } else if byte == UInt8(ascii: "\"")
          || byte == UInt8(ascii: "#") && starts(Self.rawQuote)
        {
          readText()
        } else if byte <= 0x20 {
          step()
        } else if SwiftSource.isOfName(byte) || byte == UInt8(ascii: "$") {
          step()
          skip(while: SwiftSource.isOfName)
          add(from: start)
        } else {
          if byte == UInt8(ascii: "(") { depth += 1 }
          if byte == UInt8(ascii: ")") {
            if untilParenthesis, depth == 0 { return step() }
            depth -= 1
          }
          step()
          add(from: start)
        }
      }
    }

    private mutating func readText() {
      let start = place
      let isRaw = bytes[place] == UInt8(ascii: "#")
      if isRaw { step() }
      let end = starts(Self.longQuote) ? Self.longQuote : Self.quote
      place += end.count
      words.append(Word(text: "\"", line: line, start: start, end: place))
      while place < bytes.count {
        let byte = bytes[place]
        if byte == UInt8(ascii: "\""), starts(end) {
          place += end.count
          if !isRaw || starts(Self.number) {
            if isRaw { place += 1 }
            return
          }
        } else if byte == UInt8(ascii: "\\"),
          starts(isRaw ? Self.rawInterpolation : Self.interpolation)
        {
          place += isRaw ? 3 : 2
          readCode(untilParenthesis: true)
        } else if !isRaw, byte == UInt8(ascii: "\\") {
          place += 2
        } else {
          step()
        }
      }
    }
  }
}

extension SwiftSource {
  /// All files under a directory, with their paths in it.
  static func all(under directory: String) throws -> [(path: String, source: SwiftSource)] {
    let base = TidyTests.root.appending(path: directory).standardizedFileURL.path() + "/"
    return try TidyTests.swiftFiles(under: directory).map { file in
      (
        String(file.standardizedFileURL.path().dropFirst(base.count)),
        SwiftSource(try String(contentsOf: file, encoding: .utf8))
      )
    }
  }
}
