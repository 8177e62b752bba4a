/// What the HTTP interface answers (DESIGN section 5.3).
package enum StatusRoute: CaseIterable, Sendable {
  case page, status, live, ready, started, metrics, token, refresh

  /// The exact path.
  package var path: String {
    switch self {
    case .page: "/"
    case .status: "/v1/status"
    case .live: "/livez"
    case .ready: "/readyz"
    case .started: "/startupz"
    case .metrics: "/metrics"
    case .token: "/v1/token"
    case .refresh: "/v1/refresh"
    }
  }

  /// The methods that it takes, as in `Allow`.
  var methods: [String] { self == .refresh ? ["POST"] : ["GET", "HEAD"] }

  /// Whether it gives a token out, or has one fetched: not for strangers.
  var isGuarded: Bool { self == .token || self == .refresh }

  init?(path: String) {
    guard let route = Self.allCases.first(where: { $0.path == path }) else { return nil }
    self = route
  }
}
