/// A piece of HTML; text becomes HTML only by being escaped.
struct HTML: Sendable {
  /// The elements that the page is made of.
  enum Tag: String {
    case html, head, title, meta, link, script, body
    case header, nav, main, section, footer, h1, h2, h3, p, div, ul, ol, li, dl, dt, dd
    case details, summary, span, strong, time, code, a, label, input, svg, rect

    /// Whether the element has no content and no end.
    var isVoid: Bool { self == .meta || self == .link || self == .input }
  }

  let markup: String

  static let empty = HTML(markup: "")

  private init(markup: String) { self.markup = markup }

  /// Text, with everything escaped that HTML would take for itself.
  init(_ text: String) {
    guard text.utf8.contains(where: Self.isSpecial) else {
      markup = text
      return
    }
    var markup = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": markup += "&amp;"
      case "<": markup += "&lt;"
      case ">": markup += "&gt;"
      case "\"": markup += "&quot;"
      case "'": markup += "&#39;"
      default: markup.unicodeScalars.append(scalar)
      }
    }
    self.markup = markup
  }

  private static func isSpecial(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""),
      UInt8(ascii: "'"):
      true
    default: false
    }
  }

  /// An element with attributes and content; an attribute without a value is left out.
  init(
    _ tag: Tag, _ attributes: KeyValuePairs<String, String?> = [:],
    @HTMLBuilder _ content: () -> HTML = { .empty }
  ) {
    var markup = "<\(tag.rawValue)"
    for (name, value) in attributes {
      guard let value else { continue }
      markup += " \(name)=\"\(HTML(value).markup)\""
    }
    markup += ">"
    if !tag.isVoid { markup += "\(content().markup)</\(tag.rawValue)>" }
    self.markup = markup
  }

  /// A style sheet, which is not escaped: it is part of the program.
  static func style(_ sheet: StaticString) -> HTML { HTML(markup: "<style>\(sheet)</style>\n") }

  /// A script, which is not escaped: it is part of the program.
  static func script(_ script: StaticString) -> HTML {
    HTML(markup: "<script>\(script)</script>\n")
  }

  static func joined(_ parts: [HTML]) -> HTML { HTML(markup: parts.map(\.markup).joined()) }

  /// A whole document.
  var document: String { "<!doctype html>\n" + markup }
}

/// Puts pieces of HTML one after the other; strings are escaped.
@resultBuilder
enum HTMLBuilder {
  static func buildExpression(_ text: String) -> HTML { HTML(text) }
  static func buildExpression(_ html: HTML) -> HTML { html }
  static func buildBlock(_ parts: HTML...) -> HTML { .joined(parts) }
  static func buildOptional(_ part: HTML?) -> HTML { part ?? .empty }
  static func buildEither(first part: HTML) -> HTML { part }
  static func buildEither(second part: HTML) -> HTML { part }
  static func buildArray(_ parts: [HTML]) -> HTML { .joined(parts) }
}
