extension Settings {
  /// Every setting with its spellings, default and meaning, for `run --help`.
  package static var help: String {
    Setting.table.map { setting in
      let names =
        setting.isSecret
        ? [setting.environmentName, setting.fileTwin?.environmentName].compactMap { $0 }
        : [setting.flagName, setting.environmentName]
      let fallback = setting.fallback.map { " (default \($0))" } ?? ""
      return "  \(names.joined(separator: ", "))\(fallback)\n      \(setting.meaning)"
    }.joined(separator: "\n")
  }
}
