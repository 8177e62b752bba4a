/// A value as it was written, and where.
struct Given: Hashable, Sendable {
  let text: String
  let origin: Origin
}

/// The values of one source, by the setting's name.
typealias Layer = [String: Given]

/// An account as the file's `accounts` has it, or a directory.
struct GivenAccount: Sendable {
  let name: String
  /// Where it stands, for problems with the whole entry.
  let origin: Origin
  let values: Layer

  /// Where a member would stand that is missing.
  func place(of member: String) -> Origin {
    switch origin {
    case .file(let path, let key): .file(path: path, key: "\(key).\(member)")
    case .directory(let path): .wholeFile("\(path)/\(member)")
    default: origin
    }
  }

  /// The same of its secret: a key of the file names a file, and a directory has it.
  var placeOfSecret: Origin {
    if case .file = origin { return place(of: Setting.appsecret.name + "File") }
    return place(of: Setting.appsecret.name)
  }
}

/// Everything that was given, source by source, before any value is judged.
struct SettingsSources: Sendable {
  /// Flags, environment, file: an earlier one wins.
  private(set) var layers: [Layer] = []
  private(set) var accounts: [GivenAccount] = []
  private(set) var problems: [SettingsProblem] = []
  private(set) var warnings: [SettingsProblem] = []

  /// More accounts than this are a mistake in a generated file: each has its own keeper.
  static let accountLimit = 256

  /// - Parameter otherFlags: the verb's own, for whoever mistypes one.
  init(
    arguments: [String], otherFlags: [String], environment: [String: String],
    readFile: FileReader, listFiles: DirectoryReader
  ) {
    let flags = readFlags(arguments, others: otherFlags)
    let (variables, unknownVariables) = readVariables(environment)
    let (file, given) = readConfigurationFile(
      flags[Setting.config.name] ?? variables[Setting.config.name], readFile)
    layers = [flags, variables, file]
    accounts = given
    if let directory = self[.accountsDir] {
      take(readAccounts(in: directory, readFile, listFiles))
    }

    if self[.strict]?.text == "off" {
      warnings += unknownVariables
    } else {
      problems += unknownVariables
    }
  }

  /// The value of the first source that has one; the table's default is not among them.
  subscript(_ setting: Setting) -> Given? {
    layers.lazy.compactMap { $0[setting.name] }.first
  }

  /// Only what concerns these settings: other problems are none here, but for mistyped flags.
  ///
  /// A file that cannot be read is a warning, since the rest may do.
  func concerning(_ settings: [Setting]) -> SettingsSources {
    var copy = self
    copy.warnings = []
    copy.problems = problems.filter { problem in
      switch problem.origin {
      case .flag, .argument: return true
      case .environment(let name): return settings.contains { $0.environmentName == name }
      case .file(_, let key): return settings.contains { $0.name == key }
      case .wholeFile, .directory:
        copy.warnings.append(problem)
        return false
      case .fallback, .combination: return false
      }
    }
    return copy
  }

  mutating func report(_ problem: SettingsProblem) { problems.append(problem) }

  mutating func warn(_ problem: SettingsProblem) { warnings.append(problem) }

  /// Adds the accounts of a directory to those of the file.
  private mutating func take(_ others: [GivenAccount]) {
    for other in others {
      guard let known = accounts.first(where: { $0.name == other.name }) else {
        accounts.append(other)
        continue
      }
      report(
        SettingsProblem(
          other.origin,
          "the account \(quoted(other.name)) is given here and in the \(known.origin): keep one"))
    }
    guard accounts.count > Self.accountLimit else { return }
    report(
      SettingsProblem(
        .combination,
        "the file and the directory have \(accounts.count) accounts together: at most"
          + " \(Self.accountLimit) are possible"))
  }

  // MARK: Flags

  /// Reads `--name value` and `--name=value`.
  private mutating func readFlags(_ arguments: [String], others: [String]) -> Layer {
    var layer: Layer = [:]
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("--"), argument.count > 2 else {
        problems.append(
          SettingsProblem(
            .argument(arguments.count - rest.count),
            "is not a flag: settings are written `--name value`"))
        continue
      }
      let equals = argument.firstIndex(of: "=")
      let name = String(argument[..<(equals ?? argument.endIndex)])
      var value = equals.map { String(argument[argument.index(after: $0)...]) }
      let setting = Setting.table.first { $0.flagName == name }
      if value == nil, let next = rest.first, !next.hasPrefix("--") {
        value = next
        rest.removeFirst()
      }
      guard let setting else {
        let nearest = nearestName(to: name, among: others + Setting.flags.map(\.flagName))
        problems.append(
          SettingsProblem(
            .flag(quoted(name)), "is unknown; the nearest known one is \(nearest ?? "none")"))
        continue
      }
      if let problem = Self.flagProblem(setting, value) {
        problems.append(SettingsProblem(.flag(name), problem))
      } else if layer[setting.name] != nil {
        problems.append(SettingsProblem(.flag(name), "is given twice: once is enough"))
      } else if let value {
        layer[setting.name] = Given(text: value, origin: .flag(name))
      }
    }
    return layer
  }

  /// Why a flag cannot be used whatever its value means; nil when it can.
  private static func flagProblem(_ setting: Setting, _ value: String?) -> String? {
    if setting.isSecret {
      return "a flag must not carry a secret, which every user of the host can read:"
        + " use \(setting.fileTwin?.environmentName ?? "") or \(setting.environmentName)"
    }
    guard let value, !value.isEmpty else {
      return "needs a value: \(setting.form)"
    }
    if setting == .apiProxy, RedactedURL(value).hasPassword {
      return "a flag must not carry a password, which every user of the host can read:"
        + " use \(setting.environmentName)"
    }
    if setting == .redisUrl, RedactedURL(value).hasPassword {
      return "a flag must not carry a password, which every user of the host can read:"
        + " use \(Setting.redisPassword.fileTwin?.environmentName ?? "")"
        + " or \(setting.environmentName)"
    }
    return nil
  }

  // MARK: Environment

  /// Reads every `WCH_` variable and the alias `REDIS_URL`.
  ///
  /// Unknown ones come back apart: whether they are errors is itself a setting.
  private mutating func readVariables(
    _ environment: [String: String]
  ) -> (Layer, unknown: [SettingsProblem]) {
    var layer: Layer = [:]
    var unknown: [SettingsProblem] = []
    let links = ServiceLinks(environment: environment.keys)
    if let alias = environment["REDIS_URL"], !alias.isEmpty {
      layer[Setting.redisUrl.name] = Given(text: alias, origin: .environment("REDIS_URL"))
    }
    for name in environment.keys.sorted() where !name.hasPrefix("WCH_") {
      // Variables of others may begin so; one that is spelt like a setting was meant for it.
      let meant = name.uppercased()
      guard meant.hasPrefix("WCH_"), Setting.table.contains(where: { $0.environmentName == meant })
      else { continue }
      unknown.append(
        SettingsProblem(
          .environment(quoted(name)),
          "is not read: names of variables are written in capital letters, \(meant)"
            + " (\(Setting.strict.environmentName)=off makes this a warning)"))
    }
    for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("WCH_") {
      if let setting = Setting.table.first(where: { $0.environmentName == name }) {
        if value.isEmpty {
          problems.append(
            SettingsProblem(
              .environment(name), "is empty: leave it out, or give \(setting.form)"))
        } else {
          layer[setting.name] = Given(text: value, origin: .environment(name))
        }
      } else if !links.contains(name) {
        let nearest = nearestName(to: name, among: Setting.table.map(\.environmentName))
        unknown.append(
          SettingsProblem(
            .environment(quoted(name)),
            "is unknown; the nearest known one is \(nearest ?? "none")"
              + " (\(Setting.strict.environmentName)=off makes this a warning)"))
      }
    }
    return (layer, unknown)
  }

  // MARK: File

  private mutating func readConfigurationFile(
    _ configuration: Given?, _ readFile: FileReader
  ) -> (Layer, [GivenAccount]) {
    guard let path = configuration?.text else { return ([:], []) }
    let members: [String: FileValue]
    do throws(FileProblem) {
      let bytes = try readFile(path)
      members = try FileValue.members(ofJSON5: bytes)
      refuseDuplicates(in: bytes, path: path)
    } catch {
      problems.append(SettingsProblem(.wholeFile(path), error.reason))
      return ([:], [])
    }
    var top = members
    let accounts = top.removeValue(forKey: "accounts")
    let layer = readMembers(
      top, known: Setting.table.filter(\.isAllowedInFile), others: ["accounts"], path: path,
      prefix: "")
    return (layer, accounts.map { readAccounts($0, path: path) } ?? [])
  }

  /// Nobody can know which of two values was meant.
  private mutating func refuseDuplicates(in bytes: [UInt8], path: String) {
    for duplicate in JSON5Duplicate.all(in: bytes) {
      let key = duplicate.path.map { name in
        name.count <= 64 && isVisibleASCII(name) ? name : quoted(name)
      }
      problems.append(
        SettingsProblem(
          .file(path: path, key: key.joined(separator: ".")),
          "is given twice, again in line \(duplicate.line), column \(duplicate.column): keep one"))
    }
  }

  private mutating func readAccounts(_ value: FileValue, path: String) -> [GivenAccount] {
    guard case .object(let entries) = value else {
      problems.append(
        SettingsProblem(
          .file(path: path, key: "accounts"),
          "holds \(value.kind): write `{ shop: { appid: \"…\", appsecretFile: \"…\" } }`"))
      return []
    }
    guard entries.count <= Self.accountLimit else {
      problems.append(
        SettingsProblem(
          .file(path: path, key: "accounts"),
          "has \(entries.count) accounts: at most \(Self.accountLimit) are possible"))
      return []
    }
    return entries.sorted { $0.key < $1.key }.compactMap { name, entry in
      let key = "accounts.\(name.count > 64 ? quoted(name) : name)"
      let origin = Origin.file(path: path, key: key)
      guard case .object(let members) = entry else {
        problems.append(
          SettingsProblem(
            origin, "holds \(entry.kind): write `{ appid: \"…\", appsecretFile: \"…\" }`"))
        return nil
      }
      let values = readMembers(
        members, known: Setting.accountTable, others: [], path: path, prefix: key + ".")
      return GivenAccount(name: name, origin: origin, values: values)
    }
  }

  /// Reads the strings of one object of the file.
  private mutating func readMembers(
    _ members: [String: FileValue], known: [Setting], others: [String], path: String,
    prefix: String
  ) -> Layer {
    var layer: Layer = [:]
    for (name, value) in members.sorted(by: { $0.key < $1.key }) {
      guard let setting = known.first(where: { $0.name == name }) else {
        let nearest = nearestName(to: name, among: known.map(\.name) + others)
        let isElsewhere = Setting.table.contains { $0.name == name }
        problems.append(
          SettingsProblem(
            .file(path: path, key: prefix + (isElsewhere ? name : quoted(name))),
            isElsewhere
              ? "is not allowed here" : "is unknown; the nearest known one is \(nearest ?? "none")")
        )
        continue
      }
      let origin = Origin.file(path: path, key: prefix + name)
      if case .list = setting.form, let items = value.texts {
        if !items.isEmpty {
          layer[name] = Given(text: items.joined(separator: ","), origin: origin)
        }
        continue
      }
      if case .command = setting.form, let items = value.texts, !items.isEmpty {
        layer[name] = Given(text: CommandText.written(items), origin: origin)
        continue
      }
      switch value {
      case .text(let text) where !text.isEmpty:
        layer[name] = Given(text: text, origin: origin)
      case .text:
        problems.append(
          SettingsProblem(origin, "is empty: leave it out, or give \(setting.form)"))
      case .number, .truth, .null, .list, .object:
        problems.append(
          SettingsProblem(origin, "holds \(value.kind): give \(setting.form), in quotes"))
      }
    }
    return layer
  }
}

extension Setting {
  /// The settings that a flag may carry.
  package static let flags: [Setting] = table.filter { !$0.isSecret }
}
