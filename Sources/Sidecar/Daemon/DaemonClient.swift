import Dialing
import NIOCore
import NIOPosix
import NIOSSL
import RedisClient

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

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
    let (destination, authority) = try place()
    var request = OutboundRequest(
      destination: destination, tls: tls(), method: method, target: path, authority: authority)
    if let bearer = http.bearer {
      request.fields.append(("authorization", "Bearer \(bearer.current().revealed)"))
    }
    if let body {
      request.fields.append(("content-type", "application/json"))
      request.body = Array(body.utf8)
    }
    let longest = body == nil ? DaemonClient.timeout : DaemonClient.refreshTimeout
    let limit = min(limit ?? longest, longest)
    let caller = OutboundCaller(
      dialer: Dialer(), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
    do throws(OutboundFailure) {
      let answer = try await caller.answer(
        to: request, longestBody: DaemonClient.longestBody, deadline: .now + limit)
      if let flaw = answer.flaw { throw flaw }
      return Answer(status: answer.status, body: String(decoding: answer.body, as: UTF8.self))
    } catch {
      throw Unreachable(
        description: "no daemon answers at \(http.listen): \(reason(for: error));"
          + " is `wch-sidecar run` up with the same httpListen?")
    }
  }

  /// What went wrong, in the words that people search for.
  private func reason(for failure: OutboundFailure) -> String {
    switch failure {
    case .timedOut, .dial(.connectTimedOut), .dial(.lookUpTimedOut): "no answer in time"
    case .dial(.unreachable(let attempts)) where attempts.count == 1:
      OutboundFailure.describe(attempts[0].error)
    case .closed, .io:
      if case .io(let error as IOError) = failure, error.errnoCode != ECONNRESET {
        error.reasonWithoutCall
      } else if http.tls == nil {
        "the connection was closed without an answer, as by a daemon that speaks HTTPS (then give"
          + " httpTlsCertFile and httpTlsKeyFile, too)"
      } else {
        "the connection was closed without an answer"
      }
    case .tls(let error):
      "the HTTPS connection failed; httpTlsCertFile must be that of the daemon, and absent when it"
        + " has none (\(error))"
    case .dial, .tunnel, .noAuthorities, .refused, .malformed, .cancelled: "\(failure)"
    }
  }

  /// Where the daemon is, and what `Host` says of it.
  private func place() throws(Unreachable) -> (OutboundRequest.Destination, String) {
    switch http.listen {
    case .off:
      throw Unreachable(description: "httpListen is off: the daemon cannot be asked")
    case .tcp(let host, let port):
      let named = ["0.0.0.0", "::", "*"].contains(host) ? "127.0.0.1" : host
      let shown = named.contains(":") ? "[\(named)]" : named
      return (.host(named, port: port), "\(shown):\(port)")
    case .unix(let path): return (.unix(path), "localhost")
    }
  }

  /// Trusts exactly the certificate that the daemon was given: no name is checked, since the
  /// daemon is asked by its address.
  private func tls() -> ClientTLS? {
    guard let files = http.tls else { return nil }
    return ClientTLS {
      var configuration = TLSConfiguration.makeClientConfiguration()
      configuration.trustRoots = .file(files.certificate)
      configuration.certificateVerification = .noHostnameVerification
      return configuration
    }
  }
}
