/// Accounts in a directory, as a mounted secret has them: `NAME/appid`, `NAME/appsecret` and more.
///
/// Kubernetes keeps what it mounts behind symbolic links, and swaps it by renaming `..data`: links
/// are followed, and entries that begin with a dot are nobody's account.
extension SettingsSources {
  /// The files that an account's directory may have; each holds one value.
  static let accountFiles: [Setting] = [.appid, .appsecret, .api, .tickets, .outputs]

  mutating func readAccounts(
    in directory: Given, _ readFile: FileReader, _ listFiles: DirectoryReader
  ) -> [GivenAccount] {
    let path = Self.withoutEnd(directory.text)
    let names: [String]
    do throws(FileProblem) {
      names = try Self.visible(listFiles(path))
    } catch {
      report(SettingsProblem(.directory(path), error.reason))
      return []
    }
    guard names.count <= Self.accountLimit else {
      report(
        SettingsProblem(
          .directory(path),
          "has \(names.count) entries: at most \(Self.accountLimit) accounts are possible"))
      return []
    }
    return names.compactMap { name in
      readAccount(name, path: "\(path)/\(name)", readFile, listFiles)
    }
  }

  private mutating func readAccount(
    _ name: String, path: String, _ readFile: FileReader, _ listFiles: DirectoryReader
  ) -> GivenAccount? {
    let files: [String]
    do throws(FileProblem) {
      files = try Self.visible(listFiles(path))
    } catch {
      report(
        SettingsProblem(
          .directory(path),
          "\(error.reason); an account is a directory with the files"
            + " \(Self.accountFiles.prefix(2).map { "`\($0.name)`" }.joined(separator: " and "))"))
      return nil
    }
    var values: Layer = [:]
    for file in files {
      guard let setting = Self.accountFiles.first(where: { $0.name == file }) else {
        let nearest = nearestName(to: file, among: Self.accountFiles.map(\.name))
        warn(
          SettingsProblem(
            .wholeFile("\(path)/\(file)"),
            "is not read: no such file belongs to an account; the nearest one is"
              + " \(nearest ?? "none")"))
        continue
      }
      if let twin = setting.fileTwin {
        values[twin.name] = Given(text: "\(path)/\(file)", origin: .directory(path))
        continue
      }
      do throws(FileProblem) {
        let text = try SecretFile.text("\(path)/\(file)", with: readFile)
        values[file] = Given(text: text, origin: .wholeFile("\(path)/\(file)"))
      } catch {
        report(SettingsProblem(.wholeFile("\(path)/\(file)"), error.reason))
        // It is there: that it is missing is not to be said as well.
        return nil
      }
    }
    return GivenAccount(name: name, origin: .directory(path), values: values)
  }

  private static func visible(_ names: [String]) -> [String] {
    names.filter { !$0.hasPrefix(".") }
  }

  /// A path without the slash that it may end with.
  private static func withoutEnd(_ path: String) -> String {
    path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
  }
}
