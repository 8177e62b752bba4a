import FoundationEssentials

/// A value in the configuration file, before anyone knows what it should be.
enum FileValue: Hashable, Sendable, Decodable {
  case text(String)
  case number(Double)
  case truth(Bool)
  case null
  case list
  case object([String: FileValue])

  init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
      var members: [String: FileValue] = [:]
      for key in keyed.allKeys {
        members[key.stringValue] = try keyed.decode(FileValue.self, forKey: key)
      }
      self = .object(members)
    } else if (try? decoder.unkeyedContainer()) != nil {
      // No setting is a list: what is in it does not matter.
      self = .list
    } else {
      let single = try decoder.singleValueContainer()
      if single.decodeNil() {
        self = .null
      } else if let truth = try? single.decode(Bool.self) {
        self = .truth(truth)
      } else if let text = try? single.decode(String.self) {
        self = .text(text)
      } else {
        self = .number(try single.decode(Double.self))
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
      throw FileProblem("is not valid JSON5\(place(of: error))")
    }
    guard case .object(let members) = value else {
      throw FileProblem("holds \(value.kind) and not an object: write `{ redisUrl: \"…\" }`")
    }
    return members
  }

  /// Where the parser stopped, when it says so; nothing of the text itself, which may be a secret.
  private static func place(of error: any Error) -> String {
    guard case DecodingError.dataCorrupted(let context)? = error as? DecodingError,
      let underlying = context.underlyingError
    else { return "" }
    let words = String(describing: underlying)
    func number(after mark: String) -> Int? {
      guard let range = words.firstRange(of: mark) else { return nil }
      return Int(words[range.upperBound...].prefix { $0.isASCII && $0.isNumber })
    }
    guard let line = number(after: "line: ") ?? number(after: "line ") else { return "" }
    let column = number(after: "column: ") ?? number(after: "column ")
    return ": look near line \(line)" + (column.map { ", column \($0)" } ?? "")
  }
}

/// Any key at all.
private struct AnyKey: CodingKey {
  let stringValue: String
  var intValue: Int? { nil }
  init(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
