import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import TokenCore

/// One request's connection, as far as it decides who may ask.
struct StatusContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  /// Whether both ends of the connection are on this host: on loopback or a Unix socket.
  ///
  /// A listener on every address serves applications of the same pod this way, and the network
  /// cannot reach it: the kernel drops packets from outside with a loopback address.
  let isLocal: Bool
  /// Whether the connection is a Unix socket, where `Host` means nothing.
  let isUnix: Bool

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    let ends = [source.channel.localAddress, source.channel.remoteAddress]
    isUnix = ends[0]?.protocol == .unix
    isLocal = isUnix || ends.allSatisfy { $0.map(Self.isLoopback) == true }
  }

  private static func isLoopback(_ address: SocketAddress) -> Bool {
    guard let text = address.ipAddress else { return false }
    return text == "::1" || text.hasPrefix("127.") || text.hasPrefix("::ffff:127.")
  }
}

/// Answers the requests of DESIGN section 5.3.
struct StatusResponder: HTTPResponder {
  typealias Context = StatusContext

  let source: any StatusSource
  let metrics: MetricsRegistry
  let bearer: SecretSource?

  /// A request to refresh holds a token of some hundred characters; more is not one.
  static let bodyLimit = 4096

  func respond(to request: Request, context: StatusContext) async throws -> Response {
    let route = StatusRoute(path: request.uri.path)
    var response = await answer(request, route, context)
    response.headers[.cacheControl] = "no-store"
    response.headers[.xContentTypeOptions] = "nosniff"
    // Labels must come from small sets, whatever a stranger sends.
    let method = request.method.rawValue
    metrics.increment(
      .httpRequests,
      [
        "route": route?.path ?? "other",
        "method": ["GET", "HEAD", "POST"].contains(method) ? method : "other",
        "code": "\(response.status.code)",
      ])
    return request.method == .head ? response.createHeadResponse() : response
  }

  private func answer(
    _ request: Request, _ route: StatusRoute?, _ context: StatusContext
  ) async -> Response {
    guard let route else {
      return .problem(
        .notFound,
        "There is nothing here. The paths are "
          + StatusRoute.allCases.map(\.path).joined(separator: ", ") + ".")
    }
    guard route.methods.contains(request.method.rawValue) else {
      let allowed = route.methods.joined(separator: ", ")
      return .problem(
        .methodNotAllowed, "\(route.path) takes \(allowed).", headers: [.allow: allowed])
    }
    if route.isGuarded, let refusal = refusal(of: request, context) { return refusal }
    switch route {
    case .page: return .page(StatusPage(snapshot: await source.snapshot()).document)
    case .status: return .json(await source.snapshot())
    case .live: return health(await source.health(.live))
    case .ready: return health(await source.health(.ready))
    case .started: return health(await source.health(.started))
    case .metrics:
      // A scrape shows the state of that moment: taking the snapshot sets the gauges.
      _ = await source.snapshot()
      return .text(metrics.exposition(), contentType: PrometheusText.contentType)
    case .token: return await token(request)
    case .refresh: return await refresh(request)
    }
  }

  private func health(_ health: Health) -> Response {
    switch health {
    case .good(let detail): .json(HealthBody(status: "ok", detail: detail))
    case .bad(let reason): .problem(.serviceUnavailable, reason)
    }
  }

  // MARK: Who may ask

  /// Why a guarded request is not answered; nil when it is.
  private func refusal(of request: Request, _ context: StatusContext) -> Response? {
    if let bearer {
      let words = (request.headers[.authorization] ?? "").split(separator: " ", maxSplits: 1)
      if words.count == 2, words[0].lowercased() == "bearer",
        isSame(String(words[1]), bearer.current().revealed)
      {
        return nil
      }
      return .problem(
        .unauthorized, "The bearer token of WCH_HTTP_BEARER_FILE is required.",
        headers: [.wwwAuthenticate: "Bearer"])
    }
    guard context.isLocal else {
      return .problem(
        .forbidden,
        "Without a bearer this answers only on loopback or a Unix socket: set"
          + " WCH_HTTP_BEARER_FILE, or ask from the same host.")
    }
    // A web page in a browser on this host must not reach the token, neither directly nor by a
    // name that it made point here.
    if let origin = request.headers[.origin], origin != "null" || !context.isUnix {
      return .problem(
        .forbidden, "Web pages may not ask for this without a bearer: set WCH_HTTP_BEARER_FILE.")
    }
    if !context.isUnix, !Self.isLocalName(request.head.authority ?? "") {
      return .problem(
        .forbidden,
        "Without a bearer the Host must be localhost or a loopback address: set"
          + " WCH_HTTP_BEARER_FILE, or ask for http://127.0.0.1.")
    }
    return nil
  }

  /// Whether a `Host` means this host's loopback.
  private static func isLocalName(_ authority: String) -> Bool {
    var name = authority[...]
    if name.hasPrefix("[") {
      name = name.dropFirst().prefix { $0 != "]" }
    } else if let colon = name.lastIndex(of: ":") {
      name = name[..<colon]
    }
    let lower = name.lowercased()
    if ["localhost", "::1"].contains(lower) || lower.hasSuffix(".localhost") { return true }
    let parts = lower.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
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

  private func token(_ request: Request) async -> Response {
    let name = request.uri.queryParameters["account"].map(String.init) ?? ""
    guard let account = Self.account(name) else { return Self.malformedAccount }
    switch await source.token(of: account) {
    case .token(let token, let expiresAt, let expiresIn):
      return .json(
        TokenBody(
          account: account.description, access_token: token.revealed, expires_at: expiresAt,
          expires_in: expiresIn))
    case .none(let reason, let retryAfter):
      return .problem(.serviceUnavailable, reason, retryAfter: retryAfter)
    case .unknownAccount: return Self.unknownAccount
    }
  }

  private static func account(_ name: String) -> AccountName? {
    name.isEmpty || name == AccountName.unnamed.description ? .unnamed : AccountName(name)
  }

  private static var malformedAccount: Response {
    .problem(.badRequest, "An account's name has 1 to 64 letters, digits, `.`, `_`, `-`.")
  }

  private static var unknownAccount: Response {
    .problem(.notFound, "No such account is configured; /v1/status lists the accounts.")
  }

  // MARK: Refresh

  private func refresh(_ request: Request) async -> Response {
    let buffer: ByteBuffer
    do {
      buffer = try await request.body.collect(upTo: Self.bodyLimit)
    } catch is NIOTooManyBytesError {
      return .problem(
        .contentTooLarge, "The body may have at most \(Self.bodyLimit) bytes.",
        headers: [.connection: "close"])
    } catch {
      return .problem(.badRequest, "The body did not arrive.", headers: [.connection: "close"])
    }
    let wanted: RefreshRequest
    do throws(RefreshBodyProblem) {
      wanted = try RefreshBody.request(Array(buffer.readableBytesView))
    } catch {
      return .problem(.badRequest, error.reason)
    }
    switch await source.refresh(wanted) {
    case .refreshed(let token): return .json(RefreshReply("refreshed", token))
    case .current(let token): return .json(RefreshReply("current", token))
    case .coalesced(let token): return .json(RefreshReply("coalesced", token))
    case .limited(let account, let retryAfter, let reason):
      var response = Response.json(
        RefreshReply(
          outcome: "limited", account: account.description,
          retry_after: retryAfter.headerSeconds, reason: reason),
        status: .tooManyRequests)
      response.headers[.retryAfter] = "\(retryAfter.headerSeconds)"
      return response
    case .unknownAccount: return Self.unknownAccount
    case .unavailable(let reason, let retryAfter, let errorCode):
      return .problem(
        .serviceUnavailable, reason, retryAfter: retryAfter, errorCode: errorCode)
    }
  }
}

/// What is wrong with the body of a request to refresh.
struct RefreshBodyProblem: Error {
  let reason: String
}

/// The body of `POST /v1/refresh`.
enum RefreshBody {
  private struct Members: Decodable {
    var account: String?
    var rejected_token: String?
    var rejected_sha256: String?
    var force: Bool?
  }

  /// Reads the body strictly: a request that is misunderstood would refresh nothing, silently.
  static func request(_ bytes: [UInt8]) throws(RefreshBodyProblem) -> RefreshRequest {
    let members: Members
    do {
      members = try JSONDecoder().decode(Members.self, from: Data(bytes))
    } catch {
      throw RefreshBodyProblem(
        reason: "The body must be a JSON object such as {\"rejected_token\":\"…\"},"
          + " {\"rejected_sha256\":\"…\"} or {\"force\":true}, with an \"account\" if it is named.")
    }
    var account: AccountName?
    if let name = members.account, !name.isEmpty {
      account = name == AccountName.unnamed.description ? .unnamed : AccountName(name)
      guard account != nil else {
        throw RefreshBodyProblem(
          reason: "An account's name has 1 to 64 letters, digits, `.`, `_`, `-`.")
      }
    }
    switch (members.rejected_token, members.rejected_sha256, members.force ?? false) {
    case (_?, _?, _):
      throw RefreshBodyProblem(
        reason: "Give rejected_token or rejected_sha256, and not both.")
    case (_, _, true): return RefreshRequest(account: account ?? .unnamed, reason: .force)
    case (let token?, nil, false):
      guard isVisibleASCII(token) else {
        throw RefreshBodyProblem(reason: "rejected_token is not a token.")
      }
      return RefreshRequest(account: account, reason: .rejected(AccessToken(token)))
    case (nil, let digest?, false):
      guard digest.utf8.count == 64, digest.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
        throw RefreshBodyProblem(reason: "rejected_sha256 must have 64 hexadecimal digits.")
      }
      return RefreshRequest(account: account, reason: .rejectedSHA256(digest.lowercased()))
    case (nil, nil, false):
      throw RefreshBodyProblem(
        reason: "Give the token that failed as rejected_token, its SHA-256 as rejected_sha256,"
          + " or force.")
    }
  }
}

// The names below are those of the JSON that is sent.

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

private struct ProblemBody: Encodable {
  let type = "about:blank"
  let title: String
  let status: Int
  let detail: String
  /// WeChat's, when it is what is the matter.
  var errcode: Int?
}

extension Duration {
  /// Whole seconds for `Retry-After`: rounded up, at least one.
  fileprivate var headerSeconds: Int64 { max(1, Int64(inSeconds.rounded(.up))) }
}

extension HTTPField.Name {
  fileprivate static var xContentTypeOptions: Self { Self("X-Content-Type-Options")! }
}

extension Response {
  fileprivate static func text(_ text: String, contentType: String) -> Response {
    Response(
      status: .ok, headers: [.contentType: contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
  }

  fileprivate static func page(_ document: String) -> Response {
    var response = text(document, contentType: "text/html; charset=utf-8")
    response.headers[.contentSecurityPolicy] =
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
      + " frame-ancestors 'none'"
    return response
  }

  fileprivate static func json(
    _ value: some Encodable, status: HTTPResponse.Status = .ok,
    contentType: String = "application/json"
  ) -> Response {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else {
      preconditionFailure("our own values of strings and numbers always encode")
    }
    return Response(
      status: status, headers: [.contentType: contentType],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
  }

  /// An error as RFC 9457 has it.
  fileprivate static func problem(
    _ status: HTTPResponse.Status, _ detail: String, retryAfter: Duration? = nil,
    errorCode: Int? = nil, headers: HTTPFields = [:]
  ) -> Response {
    var response = json(
      ProblemBody(
        title: status.reasonPhrase, status: status.code, detail: detail, errcode: errorCode),
      status: status, contentType: "application/problem+json")
    response.headers.append(contentsOf: headers)
    if let retryAfter { response.headers[.retryAfter] = "\(retryAfter.headerSeconds)" }
    return response
  }
}
