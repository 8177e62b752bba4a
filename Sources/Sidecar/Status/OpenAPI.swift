/// The HTTP interface as an OpenAPI 3.1 document, made from the table of routes.
package enum OpenAPI {
  /// The version of the interface: members are added without a new one.
  package static let version = 1

  /// The document as text.
  ///
  /// - Parameter isForPeople: on lines of its own, as in a file under version control.
  package static func text(isForPeople: Bool = false) -> String {
    document.text(isForPeople: isForPeople) + (isForPeople ? "\n" : "")
  }

  static var document: JSONValue {
    .object([
      "openapi": "3.1.0",
      "info": .object([
        "title": "wch-sidecar",
        "version": .string("\(version).0"),
        "description": .string(
          "Keeps WeChat access tokens in Redis. Refusals are problem documents (RFC 9457) whose "
            + "type leads into \(StatusRoute.runbook.path)."),
      ]),
      "servers": .array([.object(["url": "/"])]),
      "paths": .object(
        Dictionary(uniqueKeysWithValues: StatusRoute.allCases.map { ($0.path, item(of: $0)) })),
      "components": .object([
        "schemas": .object(Self.schemas.mapValues(\.json)),
        "securitySchemes": .object([
          "bearer": .object([
            "type": "http", "scheme": "bearer",
            "description": .string(
              "The text of WCH_HTTP_BEARER_FILE. Where none is set, these paths answer on "
                + "loopback and Unix sockets only, without one."),
          ])
        ]),
      ]),
    ])
  }

  // MARK: Operations

  private static func item(of route: StatusRoute) -> JSONValue {
    var item: [String: JSONValue] = [:]
    for method in route.methods { item[method.lowercased()] = operation(route, method) }
    return .object(item)
  }

  private static func operation(_ route: StatusRoute, _ method: String) -> JSONValue {
    let row = route.row
    guard method != "OPTIONS" else {
      return .object([
        "operationId": .string("\(row.name)Options"),
        "summary": "The methods that the path takes.",
        "responses": .object(
          responses(hasBody: true, problems: StatusRoute.problemsOfAll).merging([
            "200": .object([
              "description": "They are in Allow.",
              "headers": .object([
                "Allow": header("The methods, separated by commas.", .string())
              ]),
            ])
          ]) { $1 }),
      ])
    }
    let hasBody = method != "HEAD"
    var responses = responses(
      hasBody: hasBody, problems: row.problems + StatusRoute.problemsOfAll)
    for answer in row.answers { responses["\(answer.status)"] = response(answer, hasBody: hasBody) }
    var operation: [String: JSONValue] = [
      "operationId": .string(hasBody ? row.name : "\(row.name)Head"),
      "summary": .string(hasBody ? row.help.english : "The head of what GET answers."),
      "responses": .object(responses),
    ]
    if !row.parameters.isEmpty {
      operation["parameters"] = .array(
        row.parameters.map { parameter in
          .object([
            "name": .string(parameter.name), "in": .string(parameter.place.rawValue),
            "description": .string(parameter.help.english), "schema": parameter.schema.json,
          ])
        })
    }
    if let body = row.body {
      operation["requestBody"] = .object([
        "required": .boolean(true),
        "content": .object([
          "application/json": .object(["schema": Schema.named(body).json])
        ]),
      ])
    }
    if row.isGuarded { operation["security"] = .array([.object(["bearer": .array([])])]) }
    return .object(operation)
  }

  private static func response(_ answer: StatusRoute.Answer, hasBody: Bool) -> JSONValue {
    var response: [String: JSONValue] = ["description": .string(answer.meaning.english)]
    if hasBody {
      let schema: Schema =
        switch answer.content {
        case .html, .prometheus: .string()
        case .openAPI: .object([:])
        case .json(let name): .named(name)
        }
      response["content"] = .object([
        answer.content.type: .object(["schema": schema.json])
      ])
    }
    if answer.hasRetryAfter { response["headers"] = retryAfter }
    return .object(response)
  }

  /// The problems, those of one status together.
  private static func responses(hasBody: Bool, problems: [Problem]) -> [String: JSONValue] {
    var responses: [String: JSONValue] = [:]
    for (status, problems) in Dictionary(grouping: problems, by: \.code) {
      var response: [String: JSONValue] = [
        "description": .string(
          problems.map { "\($0.title.english) (`\($0.type)`)" }.joined(separator: "; ") + ".")
      ]
      if hasBody {
        response["content"] = .object([
          "application/problem+json": .object(["schema": Schema.named("Problem").json])
        ])
      }
      if problems.contains(where: \.hasRetryAfter) { response["headers"] = retryAfter }
      if status == 401 {
        response["headers"] = .object([
          "WWW-Authenticate": header("Which scheme is asked for.", .string())
        ])
      }
      responses["\(status)"] = .object(response)
    }
    return responses
  }

  private static var retryAfter: JSONValue {
    .object(["Retry-After": header("Seconds until it is worth asking again.", .integer())])
  }

  private static func header(_ meaning: String, _ schema: Schema) -> JSONValue {
    .object(["description": .string(meaning), "schema": schema.json])
  }
}

extension Problem {
  /// Whether `Retry-After` may say when to ask again.
  fileprivate var hasRetryAfter: Bool {
    switch self {
    case .tokenUnavailable, .refreshUnavailable, .tooManyPages: true
    case .badRequest, .badAccount, .badBody, .bearerRequired, .localOnly, .webPage, .strangeHost,
      .noSuchPath, .noSuchAccount, .methodNotAllowed, .requestTimeout, .bodyTooLong,
      .targetTooLong, .headersTooLong, .notAlive, .notReady, .notStarted, .unknownCoding,
      .unknownVersion:
      false
    }
  }
}
