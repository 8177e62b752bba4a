import TokenCore

/// Turns what was given into typed values, collecting every problem on the way.
///
/// A value that cannot be used is replaced by the default (or by nothing), so that the rest is
/// judged too; the result is thrown away when there was any problem.
struct SettingsReader {
  let sources: SettingsSources
  let readFile: FileReader
  private(set) var problems: [SettingsProblem]
  private(set) var warnings: [SettingsProblem]
  private(set) var remarks: [SettingsProblem] = []
  private(set) var effective: [Settings.Effective] = []

  init(sources: SettingsSources, readFile: @escaping FileReader) {
    self.sources = sources
    self.readFile = readFile
    problems = sources.problems
    warnings = sources.warnings
  }

  mutating func report(_ origin: Origin, _ message: String) {
    problems.append(SettingsProblem(origin, message))
  }

  mutating func warn(_ origin: Origin, _ message: String) {
    warnings.append(SettingsProblem(origin, message))
  }

  mutating func remark(_ origin: Origin, _ message: String) {
    remarks.append(SettingsProblem(origin, message))
  }

  mutating func show(_ name: String, _ value: String, _ origin: Origin) {
    effective.append(Settings.Effective(name: name, value: value, origin: origin))
  }

  /// Reads a value, from its source or the table's default; nil when there is neither, or when it
  /// is not what it should be.
  mutating func value<Value>(
    _ setting: Setting, shownAs shown: (String) -> String = { RedactedURL.shown($0) },
    _ parse: (String) -> Value?
  ) -> Value? {
    guard
      let given = sources[setting]
        ?? setting.fallback.map({ Given(text: $0, origin: .fallback) })
    else { return nil }
    guard let value = parse(given.text) else {
      report(given.origin, "\(quoted(shown(given.text))) is not \(setting.form)")
      return setting.fallback.flatMap(parse)
    }
    show(setting.name, shown(given.text), given.origin)
    return value
  }

  /// Reads one of a few words.
  mutating func choice<Choice: RawRepresentable<String>>(_ setting: Setting) -> Choice? {
    value(setting) { Choice(rawValue: $0) }
  }

  /// Reads a duration; nil for `off`.
  mutating func duration(_ setting: Setting) -> Duration? {
    guard case .duration(let range, let orOff) = setting.form else {
      preconditionFailure("\(setting.name) is not a duration in the table")
    }
    guard let given = sources[setting], !(orOff && given.text == "off") else {
      let read: Duration?? = value(setting) { text -> Duration?? in
        text == "off" ? .some(nil) : Duration(written: text).map(Optional.some)
      }
      return read ?? nil
    }
    if Duration(written: given.text) == nil {
      let isBare = given.text.utf8.allSatisfy { (0x30...0x39).contains($0) }
      // What would be refused with a unit, too, is none to offer.
      let offers = ["s", "ms", "m"].map { given.text + $0 }
        .filter { Duration(written: $0).map(range.contains) ?? false }.prefix(2).map(quoted)
      report(
        given.origin,
        isBare
          ? "\(quoted(given.text)) has no unit: "
            + (offers.isEmpty
              ? "give \(setting.form)" : "write \(offers.joined(separator: " or "))")
          : "\(quoted(given.text)) is not \(setting.form), such as `500ms`, `15s`, `5m`, `2h`")
      return setting.fallback.flatMap { Duration(written: $0) }
    }
    return value(setting) { text in
      Duration(written: text).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  /// Reads a secret or the file that its twin names; one source may give only one of the two.
  mutating func secret(
    _ setting: Setting, isAcceptable: @escaping @Sendable (String) -> FileProblem? = { _ in nil }
  ) -> SecretSource? {
    for layer in sources.layers where Self.mentions(setting, layer) {
      return secret(setting, in: layer, shownAs: setting.name, isAcceptable: isAcceptable)
    }
    return nil
  }

  /// Reads a secret from one source.
  mutating func secret(
    _ setting: Setting, in layer: Layer, shownAs name: String,
    isAcceptable: @escaping @Sendable (String) -> FileProblem?
  ) -> SecretSource? {
    let direct = layer[setting.name]
    let file = setting.fileTwin.flatMap { layer[$0.name] }
    switch (direct, file) {
    case (let direct?, let file?):
      report(direct.origin, "is given, and so is the \(file.origin): keep one, best the file")
      return nil
    case (let direct?, nil):
      if let problem = isAcceptable(direct.text) {
        report(direct.origin, problem.reason)
        return nil
      }
      show(name, "<secret>", direct.origin)
      weigh(Secret(direct.text), name, direct.origin)
      return .value(Secret(direct.text))
    case (nil, let file?):
      do throws(FileProblem) {
        let source = try SecretFile(
          path: file.text, readFile: readFile, isAcceptable: isAcceptable)
        show(name + "File", file.text, file.origin)
        weigh(source.current(), "\(name) in \(quoted(file.text))", file.origin)
        return .file(source)
      } catch {
        report(file.origin, "the file \(quoted(file.text)) \(error.reason)")
        return nil
      }
    case (nil, nil):
      return nil
    }
  }

  /// Reads the path of a file that must be readable.
  mutating func readablePath(_ setting: Setting) -> String? {
    guard let given = sources[setting] else { return nil }
    do throws(FileProblem) {
      _ = try readFile(given.text)
    } catch {
      report(given.origin, "the file \(quoted(given.text)) \(error.reason)")
    }
    return value(setting) { $0 }
  }

  private static func mentions(_ setting: Setting, _ layer: Layer) -> Bool {
    layer[setting.name] != nil || setting.fileTwin.map { layer[$0.name] != nil } == true
  }
}

/// Who this replica is.
extension SettingsReader {
  mutating func instance(_ generate: () -> String) -> InstanceID? {
    if sources[.instance] != nil { return value(.instance) { InstanceID($0) } }
    let name = generate()
    guard let instance = InstanceID(name) else {
      report(.fallback, "the host's name gives no usable instance name: give WCH_INSTANCE")
      return nil
    }
    show(Setting.instance.name, name, .fallback)
    return instance
  }
}
