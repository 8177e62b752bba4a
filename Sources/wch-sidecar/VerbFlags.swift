import Sidecar

/// What stands behind a verb: settings, and the verb's own options wherever they stand among them.
struct VerbFlags {
  /// What is left for the settings.
  private(set) var settings: [String]
  /// The verb's own options, for whoever mistypes one.
  private(set) var own: [String] = []
  private let verb: String

  /// - Parameter words: as they were passed through.
  init(_ verb: String, _ words: [String]) {
    self.verb = verb
    settings = words
  }

  /// Takes a flag of the verb's own out; whether it was there.
  ///
  /// - Throws: `Failure` when it is given a value.
  mutating func take(_ flag: String) throws -> Bool {
    own.append(flag)
    guard !settings.contains(where: { $0.hasPrefix(flag + "=") }) else {
      throw Failure(.usage, "wch-sidecar \(verb): \(flag) takes no value")
    }
    let count = settings.count
    settings.removeAll { $0 == flag }
    return settings.count < count
  }

  /// Takes an option of the verb's own out, written `--name value` or `--name=value`; the last one
  /// counts.
  ///
  /// - Throws: `Failure` when its value is missing.
  mutating func takeValue(of option: String, short: String? = nil) throws -> String? {
    own.append(option)
    var value: String?
    while let index = settings.firstIndex(where: {
      $0 == option || $0.hasPrefix(option + "=") || $0 == short
    }) {
      let word = settings.remove(at: index)
      if word != option, word != short {
        value = String(word.dropFirst(option.count + 1))
      } else if index < settings.count, !settings[index].hasPrefix("--") {
        value = settings.remove(at: index)
      } else {
        throw Failure(.usage, "wch-sidecar \(verb): \(option) needs a value")
      }
    }
    return value
  }
}
