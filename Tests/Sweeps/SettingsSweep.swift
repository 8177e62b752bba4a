import Sidecar
import TokenCore

/// Stands in every secret; must stand in nothing that is shown.
private let mark = "Hu5h"

/// Loads random settings, most of them wrong.
func settingsContradiction(seed: UInt64) -> String? {
  var generator = SeededGenerator(seed: seed)
  let input = Input(using: &generator)
  let shown: String
  do throws(SettingsError) {
    let files = input.files
    let settings = try Settings.load(
      arguments: input.arguments, environment: input.environment,
      readFile: { path throws(FileProblem) in
        guard let text = files[path] else { throw FileProblem("does not exist") }
        return Array(text.utf8)
      },
      listFiles: { path throws(FileProblem) in
        Set(
          files.keys.filter { $0.hasPrefix(path + "/") }.map {
            String($0.dropFirst(path.count + 1).prefix { $0 != "/" })
          }
        ).sorted()
      }, nameInstance: { "host-1" })
    shown = settings.describe() + "\n\(settings.warnings)\n\(settings)"
    if !settings.timing.violations.isEmpty || settings.accounts.isEmpty {
      return "settings that do not work were accepted"
    }
  } catch {
    shown = error.description
    if error.problems.isEmpty { return "refused without a problem" }
  }
  if shown.contains(mark) { return "a secret is shown: \(shown)" }
  return shown.utf8.count > 100_000 ? "the message is endless" : nil
}

private struct Input {
  var arguments: [String] = []
  var environment: [String: String] = [:]
  var files: [String: String] = [:]

  init(using generator: inout SeededGenerator) {
    for _ in 0..<Int.random(in: 0...4, using: &generator) {
      let setting = Setting.table.randomElement(using: &generator)
      let name = bent(setting?.flagName ?? "", using: &generator)
      // A flag's name bent into another may be anything; a secret's keeps its value marked.
      let value = hostileValue(for: setting, using: &generator)
      if Bool.random(using: &generator) {
        arguments.append("\(name)=\(value)")
      } else {
        arguments += [name, value]
      }
    }
    if Int.random(in: 0...3, using: &generator) > 0 {
      environment["WCH_APPID"] = "wx1"
      environment["WCH_APPSECRET"] = mark
    }
    for _ in 0..<Int.random(in: 0...5, using: &generator) {
      let setting = Setting.table.randomElement(using: &generator)
      let name = bent(setting?.environmentName ?? "", using: &generator)
      environment[name] = hostileValue(for: setting, using: &generator)
    }
    if Bool.random(using: &generator) { environment["WCH_CONFIG"] = "/c" }
    var members: [String] = []
    for _ in 0..<Int.random(in: 0...5, using: &generator) {
      let setting = Setting.table.randomElement(using: &generator)
      let name = bent(setting?.name ?? "", using: &generator)
      // The file is bent as a whole: what is left of a URL then need not look like one.
      let value = hostileValue(for: setting, isBent: true, using: &generator)
      members.append("'\(name)': \(quotedJSON(value))")
    }
    if Bool.random(using: &generator) {
      members.append(
        "accounts: { shop: { appid: 'wx2', appsecret: '\(mark)' }, "
          + "'\(hostileText(using: &generator))': {} }")
    }
    files["/c"] = bent("{ \(members.joined(separator: ", ")) }", using: &generator)
    files["/s"] = mark + "\n"
  }
}

/// Settings of which no URL with a password is a value; what they refuse is shown.
private let refusesURLs = [
  "strict", "appid", "api", "apiUrl", "apiProxy", "lease", "tick", "probe", "httpListen",
  "httpTlsCertFile", "apiCaFile", "instance", "logLevel", "logFormat",
]

/// A value that may fit the setting.
private func hostileValue(
  for setting: Setting?, isBent: Bool = false, using generator: inout SeededGenerator
) -> String {
  if setting?.isSecret == true {
    return mark + (Bool.random(using: &generator) ? "" : " \n\u{0}")
  }
  if setting?.name == "redisUrl" {
    return ["redis://:\(mark)@h", "redis://u:\(mark)@h:1/x?y=z", "u:\(mark)@h", "unix:///s"]
      .randomElement(using: &generator) ?? ""
  }
  if !isBent, Int.random(in: 0...4, using: &generator) == 0,
    refusesURLs.contains(setting?.name ?? "")
  {
    return [
      "https://u:\(mark)@h/", "u:\(mark)@h:1", "https://h/x?secret=\(mark)",
      "https://h,u:\(mark)@h",
      "https://h/?\(mark)", "https://\(mark)@h",
    ].randomElement(using: &generator) ?? ""
  }
  let known = ["/s", "/c", "/none", "15s", "500ms", "5", "off", "on", "token", "127.0.0.1:1"]
  return switch Int.random(in: 0...3, using: &generator) {
  case 0: setting?.fallback ?? ""
  case 1: hostileText(using: &generator)
  default: known.randomElement(using: &generator) ?? ""
  }
}

/// Pieces that parsers trip over.
private let pieces = [
  "", " ", "\n", "\u{0}", "\u{1b}[31m", "=", "--", "{", "}", "[", "]", "'", "\"", "\\", ":",
  "://", "@", "?", "&", "#", "%", "%zz", "0", "99999999999999999999", "-1", "1.5s", "ms", "😀",
  "e\u{301}", "\u{202e}", "redis://", "unix:", "[::1]:", "null", "true", "NaN", "/*", "//",
  String(repeating: "[", count: 3000), String(repeating: "a", count: 3000),
]

/// A few of the pieces, one after the other.
package func hostileText(using generator: inout SeededGenerator) -> String {
  (0..<Int.random(in: 0...6, using: &generator))
    .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
}

/// A text, sometimes with one character more, less or other.
private func bent(_ text: String, using generator: inout SeededGenerator) -> String {
  guard Int.random(in: 0...3, using: &generator) == 0 else { return text }
  var scalars = Array(text.unicodeScalars)
  let index = Int.random(in: 0...scalars.count, using: &generator)
  if Bool.random(using: &generator), index < scalars.count {
    scalars.remove(at: index)
  } else {
    scalars.insert(
      contentsOf: hostileText(using: &generator).unicodeScalars.prefix(3), at: index)
  }
  var bent = String.UnicodeScalarView()
  bent.append(contentsOf: scalars)
  return String(bent)
}

/// A text as JSON has it.
private func quotedJSON(_ text: String) -> String {
  let escaped = text.unicodeScalars.map { scalar in
    switch scalar {
    case "\"", "\\": "\\\(scalar)"
    case " "...: String(scalar)
    default: "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
    }
  }
  return "\"\(escaped.joined())\""
}
