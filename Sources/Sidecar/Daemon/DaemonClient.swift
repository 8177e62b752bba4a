import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import RedisClient

/// Asks the daemon of the same settings over its HTTP interface.
package struct DaemonClient: Sendable {
  /// An answer, read whole.
  package struct Answer: Hashable, Sendable {
    package let status: Int
    package let body: String
  }

  /// Why there is no answer.
  package struct Unreachable: Error, Hashable, CustomStringConvertible {
    package let description: String
  }

  private let http: Settings.HTTP

  /// Where the daemon is asked.
  package var listen: ListenAddress { http.listen }

  /// A daemon on this machine answers within this, or something is wrong with it.
  private static let timeout: Duration = .seconds(5)
  /// The longest wait of the interface itself, for a refresh, and a little more.
  package static let refreshTimeout: Duration = .seconds(12)
  /// Bytes of an answer that are read.
  private static let longestBody = 4 << 20

  /// For the daemon that listens where these settings say.
  package init(settings: Settings) { http = settings.http }

  /// Makes one request.
  ///
  /// - Parameter limit: for the whole of it, when that is less than the client's own.
  /// - Throws: `Unreachable` when the interface is off or does not answer.
  package func request(
    _ path: String, method: String = "GET", body: String? = nil, within limit: Duration? = nil
  ) async throws(Unreachable) -> Answer {
    let base = try base()
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.tlsConfiguration = try tls()
    // Who asks wants to hear at once that nobody listens.
    configuration.connectionPool.retryConnectionEstablishment = false
    let client = HTTPClient(
      eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton),
      configuration: configuration)
    var request = HTTPClientRequest(url: base + path)
    request.method = HTTPMethod(rawValue: method)
    if let bearer = http.bearer {
      request.headers.add(name: "Authorization", value: "Bearer \(bearer.current().revealed)")
    }
    if let body {
      request.headers.add(name: "Content-Type", value: "application/json")
      request.body = .bytes(ByteBuffer(string: body))
    }
    let longest = body == nil ? DaemonClient.timeout : DaemonClient.refreshTimeout
    let limit = min(limit ?? longest, longest)
    let answer: Result<Answer, Unreachable>
    do {
      answer = .success(try await Self.answer(to: request, from: client, within: limit))
    } catch {
      answer = .failure(
        Unreachable(
          description: "no daemon answers at \(http.listen): \(reason(for: error));"
            + " is `wch-sidecar run` up with the same httpListen?"))
    }
    // Everything was read: nothing is left that could fail to close.
    try? await client.shutdown()
    return try answer.get()
  }

  /// The whole answer: the client's own limit ends with the head.
  private static func answer(
    to request: HTTPClientRequest, from client: HTTPClient, within limit: Duration
  ) async throws -> Answer {
    try await withThrowingTaskGroup(of: Answer.self) { group in
      group.addTask {
        let response = try await client.execute(request, timeout: .init(limit))
        let content = try await response.body.collect(upTo: DaemonClient.longestBody)
        return Answer(status: Int(response.status.code), body: String(buffer: content))
      }
      group.addTask {
        try await Task.sleep(for: limit)
        throw HTTPClientError.deadlineExceeded
      }
      defer { group.cancelAll() }
      guard let first = try await group.next() else { throw CancellationError() }
      return first
    }
  }

  /// What went wrong, in the words that people search for.
  private func reason(for error: any Error) -> String {
    switch error {
    case let error as IOError: error.reasonWithoutCall
    case let error as HTTPClientError:
      switch error {
      case .deadlineExceeded, .connectTimeout: "no answer in time"
      case .remoteConnectionClosed where http.tls == nil:
        "the connection was closed without an answer, as by a daemon that speaks HTTPS (then give"
          + " httpTlsCertFile and httpTlsKeyFile, too)"
      case .remoteConnectionClosed: "the connection was closed without an answer"
      default: error.shortDescription
      }
    case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError:
      "the HTTPS connection failed; httpTlsCertFile must be that of the daemon, and absent when it"
        + " has none (\(error))"
    default: "\(error)"
    }
  }

  private func base() throws(Unreachable) -> String {
    let scheme = http.tls == nil ? "http" : "https"
    switch http.listen {
    case .off:
      throw Unreachable(description: "httpListen is off: the daemon cannot be asked")
    case .tcp(let host, let port):
      let named = ["0.0.0.0", "::", "*"].contains(host) ? "127.0.0.1" : host
      return "\(scheme)://\(named.contains(":") ? "[\(named)]" : named):\(port)"
    case .unix(let path):
      let encoded = path.utf8.map { byte in
        let character = Character(UnicodeScalar(byte))
        return character.isASCII && (character.isLetter || character.isNumber || character == "-")
          ? String(character) : "%" + hexadecimal([byte])
      }.joined()
      return "\(scheme)+unix://\(encoded)"
    }
  }

  /// Trusts exactly the certificate that the daemon was given: no name is checked, since the
  /// daemon is asked by its address.
  private func tls() throws(Unreachable) -> TLSConfiguration? {
    guard let files = http.tls else { return nil }
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.trustRoots = .file(files.certificate)
    configuration.certificateVerification = .noHostnameVerification
    return configuration
  }
}
