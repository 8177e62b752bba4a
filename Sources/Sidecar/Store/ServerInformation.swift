/// What `INFO` tells of a server.
struct ServerInformation {
  private let values: [Substring: Substring]

  init(_ text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      values[line[..<colon]] = line[line.index(after: colon)...]
    }
    self.values = values
  }

  subscript(name: Substring) -> String? { values[name].map(String.init) }

  /// How keys are thrown away when the memory is full; nil when none is, or nobody says.
  var evictingPolicy: String? { self["maxmemory_policy"].flatMap { $0 == "noeviction" ? nil : $0 } }

  /// Whether `maxmemory` is reached, and nothing is thrown away for that.
  var isFull: Bool {
    guard let used = self["used_memory"].flatMap({ Int64($0) }),
      let most = self["maxmemory"].flatMap({ Int64($0) })
    else { return false }
    return most > 0 && used >= most && evictingPolicy == nil
  }

  /// How many replicas are connected.
  var replicas: Int { self["connected_slaves"].flatMap { Int($0) } ?? 0 }

  /// The version, when it is one whose scripts do not heed `min-replicas-to-write`.
  ///
  /// Tried: 6.2.5 does not heed it, 6.2.14 and 7.0.15 do; the change to 7.0 was made before 7.0.0.
  var unguardedVersion: String? {
    guard let text = self["redis_version"] else { return nil }
    let parts = text.split(separator: ".").map { Int($0) ?? 0 }
    guard parts.count >= 2 else { return nil }
    return parts.lexicographicallyPrecedes(Self.firstGuarded) ? text : nil
  }

  private static let firstGuarded = [6, 2, 14]
}
