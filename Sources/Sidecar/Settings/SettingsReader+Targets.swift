import TokenCore

/// The files and programs that tokens are handed to.
///
/// What stands at the top is for all accounts; an account's own entry goes before it, member by
/// member.
extension SettingsReader {
  /// What of a file is the same for several accounts.
  private struct FileParts {
    var form = FileTarget.Form.json
    var mode: UInt32 = 0o640
    var owner: FileOwner?
  }

  /// Completes the accounts with their files and programs.
  ///
  /// - Parameters:
  ///   - trials: nil where nobody writes and runs: then nothing is tried.
  ///   - search: where a program without a slash is looked for.
  mutating func targets(
    of accounts: inout [Settings.Account], with trials: TargetTrials?, search: String
  ) {
    var common = FileParts()
    common.form = choice(.fileFormat) ?? common.form
    common.mode = value(.fileMode, FileTarget.mode) ?? common.mode
    common.owner = owner(sources[.fileOwner], shownAs: Setting.fileOwner.name)
    weigh(mode: common.mode, sources[.fileMode]?.origin)
    let file = path(sources[.file], shownAs: Setting.file.name)
    let command = command(sources[.exec], shownAs: Setting.exec.name, trials, search)
    let scope: HookTarget.Scope = choice(.execOn) ?? .leader
    for index in accounts.indices {
      let name = accounts[index].name
      let own =
        sources.accounts.first { $0.name == name.rawValue && !name.isUnnamed }?.values ?? [:]
      let key = "accounts.\(name)."
      let parts = fileParts(own, key, common)
      let ownFile = own[Setting.file.name]
      if let pattern = ownFile == nil ? file : path(ownFile, shownAs: key + Setting.file.name) {
        accounts[index].file = FileTarget(
          path: FileTarget.path(pattern, of: name.description), form: parts.form, mode: parts.mode,
          owner: parts.owner)
      }
      let ownExec = own[Setting.exec.name]
      let words =
        ownExec == nil
        ? command : self.command(ownExec, shownAs: key + Setting.exec.name, trials, search)
      let ownScope: HookTarget.Scope? = choice(own[Setting.execOn.name], .execOn, key)
      if let words {
        refuseSecret(of: accounts[index], in: words, (ownExec ?? sources[.exec])?.origin)
        accounts[index].hook = HookTarget(command: words, scope: ownScope ?? scope)
      }
    }
    refuseSharedFiles(accounts, common: file)
    weighUnused(accounts)
    if let trials { tryFiles(accounts, trials) }
  }

  /// Arguments are for everybody on the machine to read.
  private mutating func refuseSecret(
    of account: Settings.Account, in words: [String], _ origin: Origin?
  ) {
    let secret = account.secret.current().revealed
    // A word that is shorter is none of WeChat's, and may stand anywhere.
    guard secret.utf8.count >= Self.shortestSecret, words.contains(where: { $0.contains(secret) })
    else { return }
    report(
      origin ?? .combination,
      "an argument holds the AppSecret of account \(account.name), where everybody on the machine"
        + " could read it; the token comes on standard input")
  }

  private mutating func fileParts(
    _ own: Layer, _ key: String, _ common: FileParts
  ) -> FileParts {
    var parts = common
    parts.form = choice(own[Setting.fileFormat.name], .fileFormat, key) ?? common.form
    if let given = own[Setting.fileMode.name] {
      if let mode = FileTarget.mode(given.text) {
        show(key + Setting.fileMode.name, given.text, given.origin)
        weigh(mode: mode, given.origin)
        parts.mode = mode
      } else {
        report(given.origin, "\(quoted(given.text)) is not \(Setting.fileMode.form)")
      }
    }
    if let given = own[Setting.fileOwner.name] {
      parts.owner = owner(given, shownAs: key + Setting.fileOwner.name)
    }
    return parts
  }

  private mutating func choice<Choice: RawRepresentable<String>>(
    _ given: Given?, _ setting: Setting, _ key: String
  ) -> Choice? {
    guard let given else { return nil }
    guard let choice = Choice(rawValue: given.text) else {
      report(given.origin, "\(quoted(given.text)) is not \(setting.form)")
      return nil
    }
    show(key + setting.name, given.text, given.origin)
    return choice
  }

  private mutating func owner(_ given: Given?, shownAs name: String) -> FileOwner? {
    guard let given else { return nil }
    do throws(FileProblem) {
      let owner = try FileOwner(given.text)
      show(name, given.text, given.origin)
      return owner
    } catch {
      report(given.origin, "\(quoted(given.text)) \(error.reason)")
      return nil
    }
  }

  /// The path as it was given; nil for none.
  private mutating func path(_ given: Given?, shownAs name: String) -> String? {
    guard let given, given.text != Self.off else {
      show(name, Self.off, given?.origin ?? .fallback)
      return nil
    }
    guard !given.text.utf8.contains(0), given.text.utf8.count <= Self.longestPath else {
      report(given.origin, "\(quoted(given.text)) is not \(Setting.file.form)")
      return nil
    }
    // A file by that very name would be nobody's wish.
    let marks = given.text.matches(of: /\{\w*\}/).map(\.0)
    if let mark = marks.first(where: { $0 != FileTarget.accountMark }) {
      report(
        given.origin,
        "\(quoted(String(mark))) in \(quoted(given.text)) stands for nothing; the account's name is"
          + " `\(FileTarget.accountMark)`")
      return nil
    }
    show(name, given.text, given.origin)
    return given.text
  }

  /// The program's path and its arguments; nil for none.
  private mutating func command(
    _ given: Given?, shownAs name: String, _ trials: TargetTrials?, _ search: String
  ) -> [String]? {
    guard let given, given.text != Self.off else {
      show(name, Self.off, given?.origin ?? .fallback)
      return nil
    }
    do throws(FileProblem) {
      var words = try CommandText.words(given.text)
      show(name, CommandText.written(words.map { RedactedURL.shown($0) }), given.origin)
      guard let trials else { return words }
      words[0] = try Self.found(words[0], trials, search)
      return words
    } catch {
      report(given.origin, error.reason)
      return nil
    }
  }

  /// The program, looked for as a shell does when it has no slash.
  private static func found(
    _ program: String, _ trials: TargetTrials, _ search: String
  ) throws(FileProblem) -> String {
    guard !program.contains("/") else {
      if let problem = trials.program(program) {
        throw FileProblem("the program \(quoted(program)) \(problem)")
      }
      return program
    }
    let places = search.split(separator: ":").map { "\($0)/\(program)" }
    guard let path = places.first(where: { trials.program($0) == nil }) else {
      throw FileProblem(
        "there is no program \(quoted(program)) in any directory of PATH that may be run: give its"
          + " path")
    }
    return path
  }

  private static let off = "off"
  /// WeChat's have 32 characters.
  private static let shortestSecret = 16
  /// What Linux takes.
  private static let longestPath = 4095

  /// One file is one account's, and nothing else that this program reads or writes.
  private mutating func refuseSharedFiles(_ accounts: [Settings.Account], common: String?) {
    if let common, let given = sources[.file], !common.contains(FileTarget.accountMark) {
      let sharing = accounts.filter { $0.file?.path == common }
      if sharing.count > 1 {
        report(
          given.origin,
          "\(quoted(common)) would be one file of \(sharing.count) accounts: put"
            + " `\(FileTarget.accountMark)` into it")
        return
      }
    }
    var owners = ownFiles()
    for account in accounts {
      guard let file = account.file else { continue }
      let owner = "the file of account \(account.name)"
      if let other = owners.updateValue(owner, forKey: PathText.plain(file.path)) {
        report(.combination, "\(other) and \(owner) are both \(quoted(file.path))")
      }
    }
  }

  /// What else is a file of this program's: a token must not replace it.
  private func ownFiles() -> [String: String] {
    var owners: [String: String] = [:]
    for layer in sources.layers + sources.accounts.map(\.values) {
      for setting in Setting.table {
        guard case .path = setting.form, let given = layer[setting.name] else { continue }
        owners[PathText.plain(given.text)] = "`\(setting.name)`"
      }
    }
    return owners
  }

  private mutating func weigh(mode: UInt32, _ origin: Origin?) {
    guard let origin, mode & 0o007 != 0 else { return }
    warn(origin, "lets every user of the host use the token")
  }

  /// Says what has no effect.
  private mutating func weighUnused(_ accounts: [Settings.Account]) {
    for setting in [Setting.fileFormat, .fileMode, .fileOwner] {
      guard let given = sources[setting], !accounts.contains(where: { $0.file != nil }) else {
        continue
      }
      warn(given.origin, "has no effect: there is no `\(Setting.file.name)`")
    }
    if let given = sources[.execOn], !accounts.contains(where: { $0.hook != nil }) {
      warn(given.origin, "has no effect: there is no `\(Setting.exec.name)`")
    }
  }

  /// What can never be a file is refused; what may come later, a volume or a right, is told.
  private mutating func tryFiles(_ accounts: [Settings.Account], _ trials: TargetTrials) {
    for account in accounts {
      guard let file = account.file else { continue }
      let own = sources.accounts.first { $0.name == account.name.rawValue }?.values
      let origin = (own?[Setting.file.name] ?? sources[.file])?.origin ?? .combination
      let finding = trials.file(file.path)
      if let mistake = finding.mistake {
        report(origin, "\(quoted(file.path)) \(mistake)")
      } else if let doubt = finding.doubt {
        warn(origin, "\(quoted(file.path)) cannot be written as things are: \(doubt)")
      }
    }
  }
}
