/// A piece of HTML; text becomes HTML only by being escaped.
struct HTML: Sendable {
  /// The elements that the page is made of.
  enum Tag: String {
    case html, head, title, meta, style, body, main, header, footer, section, h1, h2, h3, nav, ul,
      li, p, div, dl
    case dt, dd, table, thead, tbody, tr, th, td, span, small, strong, a, code

    /// Whether the element has no content and no end.
    var isVoid: Bool { self == .meta }
  }

  let markup: String

  private init(markup: String) { self.markup = markup }

  /// Text, with everything escaped that HTML would take for itself.
  init(_ text: String) {
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

  /// An element with attributes and content.
  init(
    _ tag: Tag, _ attributes: KeyValuePairs<String, String> = [:],
    @HTMLBuilder _ content: () -> HTML = { HTML("") }
  ) {
    let list = attributes.map { " \($0.key)=\"\(HTML($0.value).markup)\"" }.joined()
    markup =
      tag.isVoid
      ? "<\(tag.rawValue)\(list)>"
      : "<\(tag.rawValue)\(list)>\(content().markup)</\(tag.rawValue)>\n"
  }

  /// A style sheet, which is not escaped: it is part of the program.
  static func style(_ sheet: StaticString) -> HTML { HTML(markup: "<style>\(sheet)</style>\n") }

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
  static func buildOptional(_ part: HTML?) -> HTML { part ?? HTML("") }
  static func buildEither(first part: HTML) -> HTML { part }
  static func buildEither(second part: HTML) -> HTML { part }
  static func buildArray(_ parts: [HTML]) -> HTML { .joined(parts) }
}
