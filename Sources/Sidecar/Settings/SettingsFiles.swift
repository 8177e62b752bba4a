/// The file and the directory that settings were read from.
package struct SettingsFiles: Hashable, Sendable {
  /// The configuration file.
  package let configuration: String?
  /// The directory of accounts.
  package let accounts: String?

  /// Whether there is anything that may change.
  package var isEmpty: Bool { configuration == nil && accounts == nil }

  /// Tells what is there now from what was there before; means nothing in another process.
  ///
  /// Everything is read: no date of a file tells of every way to replace it.
  package func fingerprint(
    readFile: FileReader = RegularFile.read, listFiles: DirectoryReader = SmallDirectory.names
  ) -> Int {
    var hasher = Hasher()
    func add(_ path: String) {
      hasher.combine(path)
      do throws(FileProblem) {
        hasher.combine(try readFile(path))
      } catch {
        hasher.combine(error)
      }
    }
    /// - Returns: what is there, but for what begins with a dot.
    func list(_ path: String) -> [String] {
      do throws(FileProblem) {
        return try listFiles(path).filter { !$0.hasPrefix(".") }.map { "\(path)/\($0)" }
      } catch {
        hasher.combine(error)
        return []
      }
    }
    if let configuration { add(configuration) }
    if let accounts {
      for directory in list(accounts) {
        hasher.combine(directory)
        for file in list(directory) { add(file) }
      }
    }
    return hasher.finalize()
  }
}
