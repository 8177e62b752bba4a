extension Setting {
  /// The settings for `--help`: spelling, default and meaning of each.
  package static var help: String {
    table.map { setting in
      let flag = setting.isSecret ? "" : "\(setting.flagName), "
      let fallback = setting.fallback.map { " (default: \($0))" } ?? ""
      return "  \(flag)\(setting.environmentName)\(fallback)\n      "
        + setting.meaning.replacing("`", with: "")
    }.joined(separator: "\n")
  }
}
