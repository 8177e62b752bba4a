import FoundationEssentials

/// A value in the configuration file, before anyone knows what it should be.
enum FileValue: Hashable, Sendable, Decodable {
  case text(String)
  case number
  case truth(Bool)
  case null
  case list([FileValue])
  case object([String: FileValue])

  init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
      var members: [String: FileValue] = [:]
      for key in keyed.allKeys {
        members[key.stringValue] = try keyed.decode(FileValue.self, forKey: key)
      }
      self = .object(members)
    } else if var items = try? decoder.unkeyedContainer() {
      var values: [FileValue] = []
      while !items.isAtEnd { values.append(try items.decode(FileValue.self)) }
      self = .list(values)
    } else {
      let single = try decoder.singleValueContainer()
      if single.decodeNil() {
        self = .null
      } else if let truth = try? single.decode(Bool.self) {
        self = .truth(truth)
      } else if let text = try? single.decode(String.self) {
        self = .text(text)
      } else {
        // A number, or what looks like one: `15s` without quotes comes here too.
        self = .number
      }
    }
  }

  /// What kind of value this is, for messages (never the value: it may be a misplaced secret).
  var kind: String {
    switch self {
    case .text: "a string"
    case .number: "a number"
    case .truth: "a boolean"
    case .null: "null"
    case .list: "a list"
    case .object: "an object"
    }
  }

  /// The texts of a list that has nothing else; nil for anything else.
  var texts: [String]? {
    guard case .list(let values) = self else { return nil }
    let texts = values.compactMap { value -> String? in
      if case .text(let text) = value { text } else { nil }
    }
    return texts.count == values.count ? texts : nil
  }

  /// The members of a JSON5 document's object.
  ///
  /// - Throws: `FileProblem` when it is not JSON5 or not an object.
  static func members(ofJSON5 bytes: [UInt8]) throws(FileProblem) -> [String: FileValue] {
    let decoder = JSONDecoder()
    decoder.allowsJSON5 = true
    let value: FileValue
    do {
      value = try decoder.decode(FileValue.self, from: Data(bytes))
    } catch {
      // The decoder's own words are not shown: what it quotes could be a secret.
      let place = JSON5Mistake.first(in: bytes).map { ": \($0)" } ?? ""
      throw FileProblem("is not valid JSON5\(place)")
    }
    guard case .object(let members) = value else {
      throw FileProblem("holds \(value.kind) and not an object: write `{ redisUrl: \"…\" }`")
    }
    return members
  }
}

/// Any key at all.
private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
