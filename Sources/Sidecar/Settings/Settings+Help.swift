extension Settings {
  /// Every setting with its spellings, default and meaning, for `run --help`.
  ///
  /// - Parameter width: lines are broken between words to have at most so many columns.
  package static func help(width: Int? = nil) -> String {
    let width = max(width ?? usualWidth, narrowest)
    return Setting.table.flatMap { setting in
      let names =
        setting.isSecret
        ? [setting.environmentName, setting.fileTwin?.environmentName].compactMap { $0 }
        : [setting.flagName, setting.environmentName]
      let fallback = setting.fallback.map { " (default \($0))" } ?? ""
      return ["  \(names.joined(separator: ", "))\(fallback)"]
        + lines(setting.meaning, indent: 6, width: width)
    }.joined(separator: "\n")
  }

  /// Where nobody tells a width.
  private static let usualWidth = 80
  /// Narrower than this, words would stand below each other.
  private static let narrowest = 40

  private static func lines(_ text: String, indent: Int, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty, line.count + 1 + word.count > width - indent {
        lines.append(line)
        line = ""
      }
      line += (line.isEmpty ? "" : " ") + word
    }
    return (lines + [line]).map { String(repeating: " ", count: indent) + $0 }
  }
}
