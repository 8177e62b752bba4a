extension Language {
  /// Lists of more languages are not read to their end.
  private static let mostRanges = 32

  /// The language that a reader gets: the one asked for by `?lang=`, else by `Accept-Language`,
  /// else English.
  static func chosen(parameter: String?, accepted: [String]) -> Language {
    if let parameter, let asked = Language(range: parameter) { return asked }
    var best: (language: Language, weight: Double)?
    for range in accepted.joined(separator: ",").split(separator: ",").prefix(mostRanges) {
      let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
      guard let name = parts.first, let language = Language(range: name) else { continue }
      var weight = 1.0
      for part in parts.dropFirst() where part.hasPrefix("q=") || part.hasPrefix("Q=") {
        weight = Double(part.dropFirst(2)) ?? 0
      }
      // Of two that are equally welcome the first counts.
      if weight > 0, weight > best?.weight ?? 0 { best = (language, weight) }
    }
    return best?.language ?? .english
  }

  /// By the primary subtag of a language range: `zh`, `zh-Hant-TW`, `en-GB`.
  private init?(range: String) {
    let primary = range.prefix { $0 != "-" && $0 != "_" }.lowercased()
    guard let language = Language(rawValue: primary) else { return nil }
    self = language
  }

  /// As `lang` and `Content-Language` have it.
  var tag: String { self == .english ? "en" : "zh-CN" }

  var other: Language { self == .english ? .chinese : .english }

  /// Its own name.
  var name: String { self == .english ? "English" : "中文" }
}
