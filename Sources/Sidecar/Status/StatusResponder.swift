import NIOCore
import NIOHTTP1
import TokenCore

/// One answer, whole.
struct StatusResponse: Sendable {
  let status: HTTPResponseStatus
  var headers: HTTPHeaders
  let body: ByteBuffer

  init(_ status: HTTPResponseStatus, contentType: String, _ body: ByteBuffer) {
    self.status = status
    self.body = body
    headers = [
      "Content-Type": contentType, "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
    ]
  }
}

/// Answers the requests of HTTP.md#overview.
struct StatusResponder: Sendable {
  /// What is to be done about a request of which the head is known.
  enum Judgement {
    case answer(StatusResponse)
    /// One of the long ones, of which only a few are on their way at once.
    case page(StatusResponse)
    /// To be asked for a refresh, once the body is there.
    case body
  }

  let source: any StatusSource
  let metrics: MetricsRegistry
  let bearer: SecretSource?
  private let pages = RenderedPages()

  /// A request to refresh holds a token of some hundred characters; more is not one.
  static let bodyLimit = 4096

  init(source: any StatusSource, metrics: MetricsRegistry, bearer: SecretSource?) {
    self.source = source
    self.metrics = metrics
    self.bearer = bearer
  }

  static let bodyTooLong = StatusResponse.problem(
    .bodyTooLong, "The body may have at most \(bodyLimit) bytes.", at: .refresh)

  static let tooManyPages = StatusResponse.problem(
    .tooManyPages, "Too many pages are on their way to slow readers; the probes answer.",
    retryAfter: .seconds(1))

  /// Counts an answer; of what was no request, too.
  func count(_ request: StatusRequest?, _ status: HTTPResponseStatus) {
    // Labels must come from small sets, whatever a stranger sends.
    let method = request?.method.rawValue ?? ""
    metrics.increment(
      .httpRequests,
      [
        "route": request.flatMap { StatusRoute(path: $0.path)?.path } ?? "other",
        "method": ["GET", "HEAD", "POST"].contains(method) ? method : "other",
        "code": "\(status.code)",
      ])
  }

  /// What a request gets, by its head.
  func judge(_ request: StatusRequest) -> Judgement {
    guard let route = StatusRoute(path: request.path) else {
      return .answer(
        .problem(
          .noSuchPath,
          "There is nothing here. The paths are "
            + StatusRoute.allCases.map(\.path).joined(separator: ", ") + "."))
    }
    let allowed = route.methods.joined(separator: ", ")
    guard request.method != .OPTIONS else {
      return .answer(.nothing(headers: [("Allow", allowed)]))
    }
    guard route.methods.contains(request.method.rawValue) else {
      return .answer(
        .problem(
          .methodNotAllowed, "\(route.path) takes \(allowed).", at: route,
          headers: [("Allow", allowed)]))
    }
    if route.isGuarded, let refusal = refusal(of: request, at: route) { return .answer(refusal) }
    if let refusal = strayParameter(of: request, at: route) { return .answer(refusal) }
    switch route {
    case .page:
      let language = request.language
      return .page(pages.get(.page(language)) { page(language) })
    case .status: return status(request)
    case .metrics:
      return .page(
        pages.get(.metrics) {
          // A scrape shows the state of that moment: taking the snapshot sets the gauges.
          _ = source.snapshot()
          return .text(metrics.exposition(), contentType: PrometheusText.contentType)
        })
    case .live: return .answer(health(source.health(.live), .notAlive, at: route))
    case .ready: return .answer(readiness(request))
    case .started: return .answer(health(source.health(.started), .notStarted, at: route))
    case .token: return .answer(token(request))
    case .refresh:
      guard request.contentLength.map({ $0 <= Self.bodyLimit }) ?? true else {
        return .answer(Self.bodyTooLong)
      }
      return .body
    case .runbook:
      return .page(pages.get(.runbook(request.language)) { .runbook(request.language) })
    case .openAPI: return .page(pages.get(.openAPI) { .openAPI })
    }
  }

  /// Everything, or what there is of one account.
  private func status(_ request: StatusRequest) -> Judgement {
    guard let name = request.parameter("account") else {
      return .page(pages.get(.status) { .json(source.snapshot()) })
    }
    guard let account = name.isEmpty ? .unnamed : AccountName(written: name) else {
      return .answer(Self.malformedAccount(at: .status))
    }
    // Not for any name, or strangers could fill the memory with them.
    guard source.readiness(of: account) != nil else {
      return .answer(unknownAccount(at: .status))
    }
    return .page(pages.get(.statusOf(account)) { .json(source.snapshot().only(account)) })
  }

  private func page(_ language: Language) -> StatusResponse {
    let isReady = if case .good = source.health(.ready) { true } else { false }
    let page = StatusPage(
      snapshot: source.snapshot(), language: language, isReady: isReady,
      degraded: source.readiness(of: nil)?.degraded ?? [])
    return .page(page.document, language, policy: PageAssets.policy)
  }

  private func health(_ health: Health, _ problem: Problem, at route: StatusRoute) -> StatusResponse
  {
    switch health {
    case .good(let detail): .json(HealthBody(status: "ok", detail: detail))
    case .bad(let reason): .problem(problem, reason, at: route)
    }
  }

  /// Refuses what would be answered for another account than was meant: a probe with a slip in
  /// `account` would pass for ever.
  private func strayParameter(of request: StatusRequest, at route: StatusRoute) -> StatusResponse? {
    guard route == .ready || route == .token else { return nil }
    let known = route.row.parameters.map(\.name)
    guard let stray = request.strayParameter(beside: known) else { return nil }
    let names = known.map { "`\($0)`" }.joined(separator: ", ")
    return .problem(
      .badRequest,
      "\(route.path) takes \(names) once, and nothing else: `\(Self.shown(stray))` is too much.",
      at: route)
  }

  /// A stranger's text as it may stand in an answer.
  private static func shown(_ text: String) -> String {
    String(text.prefix(64).map { $0.isLetter || $0.isNumber || "._-%".contains($0) ? $0 : "?" })
  }

  // MARK: Who may ask

  /// Why a guarded request is not answered; nil when it is.
  private func refusal(of request: StatusRequest, at route: StatusRoute) -> StatusResponse? {
    if let bearer {
      let given = request.headers["authorization"]
      let words = given.count == 1 ? given[0].split(separator: " ", maxSplits: 1) : []
      if words.count == 2, words[0].lowercased() == "bearer",
        isSame(String(words[1]), bearer.current().revealed)
      {
        return nil
      }
      return .problem(
        .bearerRequired, "The bearer token of WCH_HTTP_BEARER_FILE is required.", at: route,
        headers: [("WWW-Authenticate", "Bearer")])
    }
    guard request.isLocal else {
      return .problem(
        .localOnly,
        "Without a bearer this answers only on loopback or a Unix socket: set"
          + " WCH_HTTP_BEARER_FILE, or ask from the same host.", at: route)
    }
    // A web page in a browser on this host must not reach the token, neither directly nor by a
    // name that it made point here.
    let origin = request.headers.first(name: "origin")
    let site = request.headers.first(name: "sec-fetch-site")
    if origin.map({ $0 != "null" || !request.isUnix }) ?? false
      || !["none", "same-origin", nil].contains(site)
    {
      return .problem(
        .webPage, "Web pages may not ask for this without a bearer: set WCH_HTTP_BEARER_FILE.",
        at: route)
    }
    if !request.isUnix, !request.isForThisHost {
      return .problem(
        .strangeHost,
        "Without a bearer the Host must be localhost or a loopback address: set"
          + " WCH_HTTP_BEARER_FILE, or ask for http://127.0.0.1.", at: route)
    }
    return nil
  }

  /// Compares in a time that tells nothing of where two texts differ.
  private func isSame(_ given: String, _ expected: String) -> Bool {
    let (a, b) = (Array(given.utf8), Array(expected.utf8))
    guard !b.isEmpty else { return false }
    var difference = a.count ^ b.count
    for index in a.indices { difference |= Int(a[index] ^ b[index % b.count]) }
    return difference == 0
  }

  // MARK: Token

  private func token(_ request: StatusRequest) -> StatusResponse {
    guard let account = Self.account(request.parameter("account") ?? "") else {
      return Self.malformedAccount(at: .token)
    }
    switch source.token(of: account) {
    case .token(let token, let expiresAt, let expiresIn):
      return .json(
        TokenBody(
          account: account.description, access_token: token.revealed, expires_at: expiresAt,
          expires_in: expiresIn))
    case .none(let reason, let retryAfter, let condition):
      return .problem(
        .tokenUnavailable, reason, at: .token, retryAfter: retryAfter, condition: condition)
    case .unknownAccount: return unknownAccount(at: .token)
    }
  }

  static func account(_ name: String) -> CredentialID? {
    name.isEmpty ? .unnamed : CredentialID(name)
  }

  static func malformedAccount(at route: StatusRoute) -> StatusResponse {
    .problem(
      .badAccount,
      "An account's name has 1 to 64 letters, digits, `.`, `_`, `-`; a ticket's is"
        + " NAME/jsapi_ticket, NAME/wx_card_ticket or NAME/agent_config_ticket.", at: route)
  }

  /// Names the accounts that there are: whoever named none, or another one, needs just that.
  func unknownAccount(at route: StatusRoute) -> StatusResponse {
    let names = source.snapshot().accounts.map(\.name.description)
    let shown = names.prefix(Self.mostNames).joined(separator: ", ")
    let more = names.count - Self.mostNames
    return .problem(
      .noSuchAccount,
      "No such account is configured; the accounts are \(shown)"
        + (more > 0 ? " and \(more) more, as /v1/status lists." : "."), at: route)
  }

  /// More accounts are not named in a sentence.
  private static let mostNames = 20

  // MARK: Refresh

  /// Asks for a refresh, and waits for what becomes of it.
  func refresh(_ wanted: RefreshRequest) async -> StatusResponse {
    switch await source.refresh(wanted) {
    case .refreshed(let token): return .json(RefreshReply("refreshed", token))
    case .current(let token): return .json(RefreshReply("current", token))
    case .coalesced(let token): return .json(RefreshReply("coalesced", token))
    case .limited(let account, let retryAfter, let reason):
      var response = StatusResponse.json(
        RefreshReply(
          outcome: "limited", account: account.description,
          retry_after: retryAfter.headerSeconds, reason: reason),
        status: .tooManyRequests)
      response.headers.add(name: "Retry-After", value: "\(retryAfter.headerSeconds)")
      return response
    case .unknownAccount: return unknownAccount(at: .refresh)
    case .unavailable(let reason, let retryAfter, let errorCode, let condition):
      return .problem(
        .refreshUnavailable, reason, at: .refresh, retryAfter: retryAfter, errorCode: errorCode,
        condition: condition)
    }
  }
}

private struct TokenBody: Encodable {
  let account: String
  let access_token: String
  let expires_at: Int64
  let expires_in: Int64
}

private struct RefreshReply: Encodable {
  let outcome: String
  let account: String
  var expires_at: Int64?
  var retry_after: Int64?
  var reason: String?

  init(_ outcome: String, _ token: RefreshedToken) {
    self.outcome = outcome
    account = token.account.description
    expires_at = token.expiresAt
  }

  init(outcome: String, account: String, retry_after: Int64, reason: String) {
    self.outcome = outcome
    self.account = account
    self.retry_after = retry_after
    self.reason = reason
  }
}

private struct HealthBody: Encodable {
  let status: String
  let detail: String
}

/// A problem document; what it extends RFC 9457 by is left out where there is nothing to say.
private struct ProblemBody: Encodable {
  let type: String
  let title: String
  let status: Int
  let detail: String
  /// The path that was asked for, when it is one of ours: strangers' text is not sent back.
  var instance: String?
  /// The condition that it comes from, and where the runbook says most about it.
  var condition: String?
  var help: String?
  /// WeChat's, when it is what is the matter.
  var errcode: Int?
}

extension Duration {
  /// Whole seconds for `Retry-After`: rounded up, at least one.
  fileprivate var headerSeconds: Int64 { max(1, Int64(inSeconds.rounded(.up))) }
}

extension StatusResponse {
  fileprivate static func text(_ text: String, contentType: String) -> StatusResponse {
    StatusResponse(.ok, contentType: contentType, ByteBuffer(string: text))
  }

  static func json(
    _ value: some Encodable, status: HTTPResponseStatus = .ok,
    contentType: String = "application/json"
  ) -> StatusResponse {
    StatusResponse(
      status, contentType: contentType, ByteBuffer(string: JSONText.value(value)))
  }

  /// An answer that is all in its head.
  fileprivate static func nothing(headers: [(String, String)]) -> StatusResponse {
    var response = text("", contentType: "text/plain")
    response.headers.add(contentsOf: headers)
    return response
  }

  /// A document for people, which may do what its policy allows.
  fileprivate static func page(
    _ document: String, _ language: Language, policy: String
  ) -> StatusResponse {
    var response = text(document, contentType: "text/html; charset=utf-8")
    response.headers.add(contentsOf: [
      ("Content-Language", language.tag), ("Vary", "Accept-Language"),
      ("Content-Security-Policy", policy), ("Referrer-Policy", "no-referrer"),
    ])
    return response
  }

  fileprivate static func runbook(_ language: Language) -> StatusResponse {
    page(
      RunbookPage(language: language).document, language,
      policy: PageAssets.policy(style: RunbookPage.sheet))
  }

  fileprivate static var openAPI: StatusResponse {
    text(OpenAPI.text(), contentType: StatusRoute.Answer.Content.openAPI.type)
  }

  /// An error as RFC 9457 has it.
  static func problem(
    _ problem: Problem, _ detail: String, at route: StatusRoute? = nil,
    retryAfter: Duration? = nil, errorCode: Int? = nil, condition: Condition? = nil,
    headers: [(String, String)] = []
  ) -> StatusResponse {
    var response = json(
      ProblemBody(
        type: problem.type, title: problem.title.english, status: Int(problem.status.code),
        detail: detail, instance: route?.path, condition: condition?.kind.rawValue,
        help: condition.map { "\(StatusRoute.runbook.path)#\($0.anchor)" },
        errcode: errorCode ?? condition?.facts.code),
      status: problem.status, contentType: "application/problem+json")
    response.headers.add(contentsOf: headers)
    if let retryAfter {
      response.headers.add(name: "Retry-After", value: "\(retryAfter.headerSeconds)")
    }
    return response
  }
}
