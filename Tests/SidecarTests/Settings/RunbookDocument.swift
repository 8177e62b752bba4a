@testable import Sidecar

/// The runbook as a document of the repository, in one language.
enum RunbookDocument {
  /// The document in Markdown; each entry has the anchor that the daemon's page has.
  static func text(_ language: Language) -> String {
    var lines = ["# \(Runbook.title(language))", "", Runbook.introduction(language), ""]
    for section in Runbook.sections {
      lines += [
        "## \(section.title(language))", "", section.introduction(language), "",
      ]
      for entry in section.entries {
        lines += [
          "<a id=\"\(entry.anchor)\"></a>", "### `\(entry.anchor)`", "",
          "**\(entry.title(language))**", "",
        ]
        lines += entry.parts.map { "- \($0.name(language))\(language.colon)\($0.text(language))" }
        lines.append("")
      }
    }
    return lines.joined(separator: "\n")
  }
}

extension Language {
  fileprivate var colon: String { self == .english ? ": " : "：" }
}
