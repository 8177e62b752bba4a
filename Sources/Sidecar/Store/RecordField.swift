/// The fields of a credential's record that LOOK and TAKEOVER tell, in the order in which they do
/// (TokenCore.md#the-record).
///
/// The scripts and the parser of their answers are made from this one list.
enum RecordField: String, CaseIterable {
  case epoch
  case committedEpoch = "committed_epoch"
  case committedSequence = "committed_seq"
  case intentEpoch = "intent_epoch"
  case intentSequence = "intent_seq"
  case intentAt = "intent_at"
  case intentKills = "intent_kills"
  case doubtFirst = "doubt_first"
  case doubtLast = "doubt_last"
  case runID = "run_id"
  case fetchedAt = "fetched_at"
  case expiresAt = "expires_at"
  case lifetime
  case fetchedBy = "fetched_by"
  case digest = "sha256"

  /// Its place among them, from 0 on.
  var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  /// What the scripts read them by: `fields()`, and where in its answer those are that they
  /// change.
  static var lua: String {
    let names = allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
    let changed: [RecordField] = [.doubtFirst, .doubtLast, .runID]
    return """
      local function fields() return redis.call('HMGET', KEYS[1], \(names)) end
      local \(changed.map { $0.rawValue.uppercased() }.joined(separator: ", ")) = \
      \(changed.map { "\($0.place + 1)" }.joined(separator: ", "))

      """
  }
}

/// The outputs, by their place among the keys: the second of them is the first output.
enum OutputKeys {
  /// So many outputs has no credential: its own two, and those of other software.
  static let most = 15

  /// Each call names its key, since managed services read scripts for that before they run them.
  static var lua: String {
    function("peek", "", "redis.pcall('GET', %)")
      + function("life", "", "redis.call('PTTL', %)")
      + function("put", ", value, left", "redis.call('SET', %, value, 'PX', int(left))")
      + function("shorten", ", left", "redis.call('PEXPIRE', %, int(left))")
      + function("drop", "", "redis.call('DEL', %)")
  }

  private static func function(_ name: String, _ more: String, _ call: String) -> String {
    let branches = (2...most + 1).map { place in
      "  if i == \(place) then return \(call.replacing("%", with: "KEYS[\(place)]")) end\n"
    }
    return "local function \(name)(i\(more))\n\(branches.joined())end\n"
  }
}
