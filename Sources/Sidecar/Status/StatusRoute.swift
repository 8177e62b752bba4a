/// What the HTTP interface answers (HTTP.md#overview).
///
/// One row a route: the router, `/openapi.json`, the metrics' labels and the documentation's table
/// come from it.
package enum StatusRoute: CaseIterable, Sendable {
  case page, status, live, ready, started, metrics, token, refresh, runbook, openAPI

  /// Everything that is said of a route.
  struct Row: Sendable {
    let path: String
    /// Unique among the operations of `/openapi.json`.
    let name: String
    /// What asks: `GET`, with `HEAD` beside it, or `POST`.
    var method = "GET"
    /// Whether it gives a token out, or has one fetched: not for strangers.
    var isGuarded = false
    var parameters: [Parameter] = []
    /// The component schema of the request's body.
    var body: String?
    let answers: [Answer]
    /// What it refuses with beside what any request may be refused with.
    var problems: [Problem] = []
    /// One sentence for people.
    let help: Words
  }

  /// A parameter of the query or a header.
  struct Parameter: Hashable, Sendable {
    enum Place: String, Hashable, Sendable { case query, header }

    let name: String
    var place = Place.query
    let schema: Schema
    let help: Words
  }

  /// One answer that is no problem.
  struct Answer: Hashable, Sendable {
    enum Content: Hashable, Sendable {
      case html, prometheus, openAPI
      /// A component schema.
      case json(String)

      var type: String {
        switch self {
        case .html: "text/html; charset=utf-8"
        case .prometheus: PrometheusText.contentType
        case .openAPI, .json: "application/json"
        }
      }
    }

    let status: Int
    let content: Content
    let meaning: Words
    /// Whether `Retry-After` says when to ask again.
    var hasRetryAfter = false
  }

  /// What any request may be refused with, on every path.
  static let problemsOfAll: [Problem] = [
    .badRequest, .targetTooLong, .headersTooLong, .unknownCoding, .unknownVersion,
  ]

  /// Each path with the method that asks there, as the metrics count them.
  package static let counted = allCases.map { ($0.path, $0.row.method) }

  /// The exact path.
  package var path: String { row.path }

  /// The methods that it takes, as in `Allow`.
  var methods: [String] { (row.method == "GET" ? ["GET", "HEAD"] : [row.method]) + ["OPTIONS"] }

  /// Whether it gives a token out, or has one fetched: not for strangers.
  var isGuarded: Bool { row.isGuarded }

  /// Paths are compared as they are sent: there is one spelling of each.
  private static let byPath = Dictionary(uniqueKeysWithValues: allCases.map { ($0.path, $0) })

  init?(path: String) {
    guard let route = Self.byPath[path] else { return nil }
    self = route
  }
}
