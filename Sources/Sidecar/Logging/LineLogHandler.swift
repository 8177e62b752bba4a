package import Logging

/// Writes every event as one line, of JSON for machines or of text for terminals.
///
/// Whatever a peer sent us: a line is one line, of bounded length, without characters that a
/// terminal obeys, and has an `event`.
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level {
    get { own ?? threshold.level }
    set { own = newValue }
  }
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?
  /// The level of all lines, and the one that this logger has instead.
  private let threshold: LogThreshold
  private var own: Logger.Level?
  private let label: String
  private let format: LogFormat
  /// Whether each line begins with its priority, as systemd's journal takes it.
  private let hasPriority: Bool
  private let now: @Sendable () -> Timestamp
  private let write: @Sendable (String) -> Void

  /// Values are cut after this many bytes.
  static let longestValue = 4096
  /// Fields beyond so many bytes of a line are left out: collectors cut or refuse longer lines
  /// (16 KiB is what Docker takes at once).
  static let longestLine = 12_288
  /// Lists are cut after so many items.
  static let longestList = 50

  /// Nothing of ours nests; deeper metadata is left out.
  private static let deepestNesting = 4

  /// - Parameters:
  ///   - label: the logger's label.
  ///   - threshold: set to the level, and followed when it changes later.
  ///   - write: takes a line with its newline.
  package init(
    label: String, level: Logger.Level, format: LogFormat, hasPriority: Bool = false,
    threshold: LogThreshold? = nil,
    now: @escaping @Sendable () -> Timestamp = { Timestamp.now },
    write: @escaping @Sendable (String) -> Void
  ) {
    self.label = label
    self.threshold = threshold ?? LogThreshold()
    self.threshold.level = level
    self.format = format
    self.hasPriority = hasPriority
    self.now = now
    self.write = write
  }

  /// The handler for an output: text on a terminal unless a format is given.
  package init(
    label: String, level: Logger.Level, format: LogFormat?, output: LogOutput
  ) {
    self.init(
      label: label, level: level, format: format ?? (output.isTerminal ? .text : .json),
      hasPriority: output.isJournal, threshold: output.threshold
    ) { output.write($0) }
  }

  package subscript(metadataKey key: String) -> Logger.MetadataValue? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var all = metadata
    if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
    if let given = event.metadata { all.merge(given) { $1 } }
    if let error = event.error { all[.error] = "\(error)" }
    var fields: [(key: String, value: Logger.MetadataValue)] = []
    Self.flatten(.dictionary(all), under: "", depth: 0, into: &fields)
    if all[.event] == nil { fields.append((LogKeys.event.rawValue, "library")) }
    fields.sort { $0.key < $1.key }
    let priority = hasPriority ? "<\(event.level.priority)>" : ""
    switch format {
    case .json: write(priority + json(event, fields))
    case .text: write(priority + text(event, fields))
    }
  }

  /// Turns nested dictionaries into dotted keys.
  private static func flatten(
    _ value: Logger.MetadataValue, under key: String, depth: Int,
    into fields: inout [(key: String, value: Logger.MetadataValue)]
  ) {
    guard case .dictionary(let members) = value else {
      fields.append((key, value))
      return
    }
    guard depth < deepestNesting else { return }
    for (name, member) in members {
      flatten(member, under: key.isEmpty ? name : "\(key).\(name)", depth: depth + 1, into: &fields)
    }
  }

  // MARK: JSON

  /// The keys that every line has; metadata of the same name moves aside.
  private static let ownKeys: Set<String> = ["time", "level", "logger", "message"]

  private func json(
    _ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)]
  ) -> String {
    var line = "{\"time\":\"\(now())\",\"level\":\"\(event.level.rawValue)\""
    line += ",\"logger\":\(JSONText.string(cut(label)))"
    line += ",\"message\":\(JSONText.string(cut(event.message.description)))"
    for (key, value) in fields {
      let name = Self.ownKeys.contains(key) ? "metadata.\(key)" : key
      let field = ",\(JSONText.string(cut(name))):\(json(value, depth: 0))"
      // What comes later may be short enough.
      guard line.utf8.count + field.utf8.count <= Self.longestLine else { continue }
      line += field
    }
    return line + "}\n"
  }

  private func json(_ value: Logger.MetadataValue, depth: Int) -> String {
    switch value {
    case .string(let text): JSONText.string(cut(text))
    case .stringConvertible(let number as any FixedWidthInteger): "\(number)"
    case .stringConvertible(let truth as Bool): truth ? "true" : "false"
    case .stringConvertible(let number as Double) where number.isFinite: "\(number)"
    case .stringConvertible(let other): JSONText.string(cut(other.description))
    case .array(let items):
      depth < Self.deepestNesting
        ? "["
          + items.prefix(Self.longestList).map { json($0, depth: depth + 1) }
          .joined(separator: ",") + "]"
        : "[]"
    case .dictionary(let members):
      depth < Self.deepestNesting
        ? "{"
          + members.sorted { $0.key < $1.key }.map {
            "\(JSONText.string(cut($0.key))):\(json($0.value, depth: depth + 1))"
          }.joined(separator: ",") + "}"
        : "{}"
    }
  }

  // MARK: Text

  private func text(
    _ event: LogEvent, _ fields: [(key: String, value: Logger.MetadataValue)]
  ) -> String {
    let level = event.level.rawValue.uppercased()
    var line = "\(now()) \(level)\(String(repeating: " ", count: max(0, 8 - level.count))) "
    line += plain(event.message.description)
    for (key, value) in fields {
      let shown = plain(words(value))
      var field = " \(plain(key))="
      field += shown.contains(" ") || shown.isEmpty ? "\"\(shown)\"" : shown
      guard line.utf8.count + field.utf8.count <= Self.longestLine else { continue }
      line += field
    }
    return line + "\n"
  }

  private func words(_ value: Logger.MetadataValue) -> String {
    guard case .array(let items) = value else { return value.description }
    return items.prefix(Self.longestList).map(\.description).joined(separator: ", ")
  }

  /// The text on one line and without anything that a terminal would obey.
  private func plain(_ text: String) -> String {
    var result = ""
    for scalar in cut(text).unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private func cut(_ text: String) -> String {
    // By bytes: a character may have any number of them.
    text.utf8.count <= Self.longestValue
      ? text : String(decoding: text.utf8.prefix(Self.longestValue), as: UTF8.self) + "…"
  }
}

extension Logger.Level {
  /// What systemd's journal calls the level (sd-daemon(3)).
  var priority: Int {
    switch self {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}
