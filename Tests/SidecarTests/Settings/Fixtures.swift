import Synchronization

@testable import Sidecar

/// Files in memory.
final class FakeFiles: Sendable {
  fileprivate let contents: Mutex<[String: String]>

  init(_ contents: [String: String] = [:]) { self.contents = Mutex(contents) }

  subscript(path: String) -> String? {
    get { contents.withLock { $0[path] } }
    set { contents.withLock { $0[path] = newValue } }
  }

  var read: FileReader {
    { [self] path throws(FileProblem) in
      guard let text = self[path] else { throw FileProblem("does not exist") }
      return Array(text.utf8)
    }
  }
}

extension FakeFiles {
  /// What stands directly in a directory.
  var list: DirectoryReader {
    { [self] path throws(FileProblem) in
      let all = contents.withLock { $0.keys.filter { $0.hasPrefix(path + "/") } }
      guard !all.isEmpty else {
        throw FileProblem(self[path] == nil ? "does not exist" : "is not a directory")
      }
      return Set(all.map { String($0.dropFirst(path.count + 1).prefix { $0 != "/" }) }).sorted()
    }
  }
}

/// The least that a daemon needs.
let leastEnvironment = ["WCH_APPID": "wx0123456789abcdef", "WCH_APPSECRET": "s3cr3t-s3cr3t"]

/// Loads settings from memory.
func loadSettings(
  _ arguments: [String] = [], _ environment: [String: String] = [:],
  files: FakeFiles = FakeFiles(), requiresAccount: Bool = true,
  trials: TargetTrials = .real
) throws(SettingsError) -> Settings {
  try Settings.load(
    arguments: arguments, environment: environment, requiresAccount: requiresAccount,
    trials: trials, readFile: files.read, listFiles: files.list, nameInstance: { "host-1" })
}

/// The problems of settings that must not load, as text.
func settingsProblems(
  _ arguments: [String] = [], _ environment: [String: String] = leastEnvironment,
  files: FakeFiles = FakeFiles(), trials: TargetTrials = .real
) -> [String] {
  do throws(SettingsError) {
    _ = try loadSettings(arguments, environment, files: files, trials: trials)
    return []
  } catch {
    return error.problems.map(\.description)
  }
}
