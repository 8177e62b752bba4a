/// A JSON schema (draft 2020-12, as OpenAPI 3.1 has it).
struct Schema: Hashable, Sendable {
  private(set) var members: [String: JSONValue]

  var json: JSONValue { .object(members) }

  private init(_ type: String, _ meaning: String?) {
    members = ["type": .string(type)]
    members["description"] = meaning.map { .string($0) }
  }

  private init(members: [String: JSONValue]) { self.members = members }

  static func string(_ meaning: String? = nil, pattern: String? = nil) -> Schema {
    var schema = Schema("string", meaning)
    schema.members["pattern"] = pattern.map { .string($0) }
    return schema
  }

  /// One of some words.
  static func oneOf(_ words: [String], _ meaning: String? = nil) -> Schema {
    var schema = Schema("string", meaning)
    schema.members["enum"] = .array(words.map { .string($0) })
    return schema
  }

  static func integer(_ meaning: String? = nil, minimum: Int? = nil) -> Schema {
    var schema = Schema("integer", meaning)
    schema.members["minimum"] = minimum.map { .number($0) }
    return schema
  }

  /// Just this number.
  static func constant(_ value: Int, _ meaning: String) -> Schema {
    var schema = Schema("integer", meaning)
    schema.members["const"] = .number(value)
    return schema
  }

  /// Just true.
  static func certainly(_ meaning: String) -> Schema {
    var schema = Schema("boolean", meaning)
    schema.members["const"] = .boolean(true)
    return schema
  }

  static func boolean(_ meaning: String? = nil) -> Schema { Schema("boolean", meaning) }

  static func list(of item: Schema, _ meaning: String? = nil) -> Schema {
    var schema = Schema("array", meaning)
    schema.members["items"] = item.json
    return schema
  }

  /// An object; all members are required but those that are named as optional.
  static func object(
    _ properties: KeyValuePairs<String, Schema>, optional: Set<String> = [],
    _ meaning: String? = nil
  ) -> Schema {
    var schema = Schema("object", meaning)
    schema.members["properties"] = .object(
      Dictionary(properties.map { ($0.key, $0.value.json) }) { first, _ in first })
    let required = properties.map(\.key).filter { !optional.contains($0) }
    if !required.isEmpty { schema.members["required"] = .array(required.map { .string($0) }) }
    return schema
  }

  /// The same object without any other member.
  var closed: Schema {
    var schema = self
    schema.members["additionalProperties"] = .boolean(false)
    return schema
  }

  /// The schema of that name among the components.
  static func named(_ name: String) -> Schema {
    Schema(members: ["$ref": .string("#/components/schemas/\(name)")])
  }

  /// What fits any of these.
  static func any(of schemas: [Schema], _ meaning: String? = nil) -> Schema {
    var members: [String: JSONValue] = ["anyOf": .array(schemas.map(\.json))]
    members["description"] = meaning.map { .string($0) }
    return Schema(members: members)
  }

  /// The same, or null.
  var orNull: Schema {
    guard case .string(let type)? = members["type"], members["enum"] == nil else {
      return .any(of: [self, Schema(members: ["type": "null"])])
    }
    var schema = self
    schema.members["type"] = .array([.string(type), "null"])
    return schema
  }

  /// With a length of at least and at most so many characters.
  func length(_ range: ClosedRange<Int>) -> Schema {
    var schema = self
    schema.members["minLength"] = .number(range.lowerBound)
    schema.members["maxLength"] = .number(range.upperBound)
    return schema
  }

  /// What fits this and any of those.
  func andAny(of schemas: [Schema]) -> Schema {
    var schema = self
    schema.members["anyOf"] = .array(schemas.map(\.json))
    return schema
  }

  /// What fits this and not that.
  func andNot(_ other: Schema) -> Schema {
    var schema = self
    schema.members["not"] = other.json
    return schema
  }
}
