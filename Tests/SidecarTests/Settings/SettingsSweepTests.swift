import Foundation
import Testing
import TokenCore

@testable import Sidecar

/// Numbers from a seed, the same everywhere.
private struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  /// One step of SplitMix64 (Steele, Lea, Flood 2014).
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

/// Random settings, most of them wrong.
///
/// `WCH_SWEEP_COUNT` makes more of them, `WCH_SWEEP_SEED` repeats one by itself.
@Suite struct SettingsSweepTests {
  /// Stands in every secret; must stand in nothing that is shown.
  private static let mark = "Hu5h"

  private static let environment = ProcessInfo.processInfo.environment
  private static let count = environment["WCH_SWEEP_COUNT"].flatMap { Int($0) } ?? 1000
  private static let seed = environment["WCH_SWEEP_SEED"].flatMap { UInt64($0) }

  @Test func `whatever is given, it loads or says what is wrong, and shows no secret`() {
    let seeds = Self.seed.map { $0...$0 } ?? 1...UInt64(Self.count)
    for seed in seeds {
      var generator = SeededGenerator(seed: seed)
      let input = Input(using: &generator)
      let shown: String
      do throws(SettingsError) {
        let settings = try Settings.load(
          arguments: input.arguments, environment: input.environment,
          readFile: FakeFiles(input.files).read, nameInstance: { "host-1" })
        shown = settings.describe() + "\n\(settings.warnings)\n\(settings)"
        if !settings.timing.violations.isEmpty || settings.accounts.isEmpty {
          Issue.record("seed \(seed): settings that do not work were accepted")
        }
      } catch {
        shown = error.description
        if error.problems.isEmpty { Issue.record("seed \(seed): refused without a problem") }
      }
      if shown.contains(Self.mark) { Issue.record("seed \(seed): a secret is shown: \(shown)") }
      if shown.utf8.count > 100_000 { Issue.record("seed \(seed): the message is endless") }
    }
  }

  @Test func `whatever the parsers are given, they answer`() {
    for seed in 1...UInt64(Self.count) {
      var generator = SeededGenerator(seed: seed)
      let text = Self.text(using: &generator)
      if let address = ListenAddress(text) {
        #expect(ListenAddress(address.description) == address)
      }
      if let duration = Duration(written: text) { #expect(duration >= .zero) }
      _ = RedactedURL(text).description
      _ = try? RefreshBody.request(Array(text.utf8))
      _ = try? FileValue.members(ofJSON5: Array(text.utf8))
    }
  }

  private struct Input {
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var files: [String: String] = [:]

    init(using generator: inout SeededGenerator) {
      for _ in 0..<Int.random(in: 0...4, using: &generator) {
        let setting = Setting.table.randomElement(using: &generator)
        let name = SettingsSweepTests.bent(setting?.flagName ?? "", using: &generator)
        // A flag's name bent into another may be anything; a secret's keeps its value marked.
        let value = SettingsSweepTests.value(for: setting, using: &generator)
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
        let name = SettingsSweepTests.bent(setting?.environmentName ?? "", using: &generator)
        environment[name] = SettingsSweepTests.value(for: setting, using: &generator)
      }
      if Bool.random(using: &generator) { environment["WCH_CONFIG"] = "/c" }
      var members: [String] = []
      for _ in 0..<Int.random(in: 0...5, using: &generator) {
        let setting = Setting.table.randomElement(using: &generator)
        let name = SettingsSweepTests.bent(setting?.name ?? "", using: &generator)
        let value = SettingsSweepTests.value(for: setting, using: &generator)
        members.append("'\(name)': \(JSONText.string(value))")
      }
      if Bool.random(using: &generator) {
        members.append(
          "accounts: { shop: { appid: 'wx2', appsecret: '\(mark)' }, "
            + "'\(SettingsSweepTests.text(using: &generator))': {} }")
      }
      files["/c"] = SettingsSweepTests.bent(
        "{ \(members.joined(separator: ", ")) }", using: &generator)
      files["/s"] = mark + "\n"
    }
  }

  /// A value that may fit the setting.
  private static func value(
    for setting: Setting?, using generator: inout SeededGenerator
  ) -> String {
    if setting?.isSecret == true {
      return mark + (Bool.random(using: &generator) ? "" : " \n\u{0}")
    }
    if setting == .redisUrl {
      return ["redis://:\(mark)@h", "redis://u:\(mark)@h:1/x?y=z", "u:\(mark)@h", "unix:///s"]
        .randomElement(using: &generator) ?? ""
    }
    let known = ["/s", "/c", "/none", "15s", "500ms", "5", "off", "on", "token", "127.0.0.1:1"]
    return switch Int.random(in: 0...3, using: &generator) {
    case 0: setting?.fallback ?? ""
    case 1: text(using: &generator)
    default: known.randomElement(using: &generator) ?? ""
    }
  }

  /// Pieces that parsers trip over.
  private static let pieces = [
    "", " ", "\n", "\u{0}", "\u{1b}[31m", "=", "--", "{", "}", "[", "]", "'", "\"", "\\", ":",
    "://", "@", "?", "&", "#", "%", "%zz", "0", "99999999999999999999", "-1", "1.5s", "ms", "😀",
    "e\u{301}", "\u{202e}", "redis://", "unix:", "[::1]:", "null", "true", "NaN", "/*", "//",
    String(repeating: "[", count: 3000), String(repeating: "a", count: 3000),
  ]

  /// A few of the pieces, one after the other.
  private static func text(using generator: inout SeededGenerator) -> String {
    (0..<Int.random(in: 0...6, using: &generator))
      .map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
  }

  /// A text, sometimes with one character more, less or other.
  private static func bent(_ text: String, using generator: inout SeededGenerator) -> String {
    guard Int.random(in: 0...3, using: &generator) == 0 else { return text }
    var characters = Array(text)
    let index = Int.random(in: 0...characters.count, using: &generator)
    if Bool.random(using: &generator), index < characters.count {
      characters.remove(at: index)
    } else {
      characters.insert(
        contentsOf: Array(Self.text(using: &generator).prefix(3)), at: index)
    }
    return String(characters)
  }
}
