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

/// Asks a running daemon over its HTTP interface.
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

  private let address: DaemonAddress

  /// Where the daemon is asked.
  package var listen: ListenAddress { address.listen }

  /// A daemon on this machine answers within this, or something is wrong with it.
  private static let timeout: Duration = .seconds(5)
  /// The longest wait of the interface itself, for a refresh, and a little more.
  package static let refreshTimeout: Duration = .seconds(12)
  /// Bytes of an answer that are read.
  private static let longestBody = 4 << 20

  package init(_ address: DaemonAddress) { self.address = address }

  /// Makes one request.
  ///
  /// - Parameter limit: for the whole of it, when that is less than the client's own.
  /// - Throws: `Unreachable` when the interface is off or does not answer.
  package func request(
    _ path: String, method: String = "GET", body: String? = nil, within limit: Duration? = nil
  ) async throws(Unreachable) -> Answer {
    let (destination, authority) = try place()
    let (tls, pinned) = try tls()
    var request = OutboundRequest(
      destination: destination, tls: tls, pinned: pinned, method: method, target: path,
      authority: authority)
    if let bearer = address.bearer {
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
        description: "no daemon answers at \(address.listen): \(reason(for: error));"
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
      } else if address.certificate == nil, address.authorities == nil {
        "the connection was closed without an answer, as by a daemon that speaks HTTPS (then give"
          + " its httpTlsCertFile, or httpCaFile)"
      } else {
        "the connection was closed without an answer"
      }
    case .tls(let error):
      address.authorities == nil
        ? "the HTTPS connection failed; httpTlsCertFile must be that of the daemon, and absent when"
          + " it has none (\(Self.words(for: error)))"
        : "the HTTPS connection failed; the authorities in httpCaFile must have signed the daemon's"
          + " certificate, which must be for the name that it is asked by"
          + " (\(Self.words(for: error)))"
    case .dial, .tunnel, .noAuthorities, .refused, .malformed, .cancelled: "\(failure)"
    }
  }

  /// The reason that the TLS library has, without its own source's places.
  private static func words(for error: any Error) -> String {
    let text = "\(error)"
    for (mark, words) in [
      ("CERTIFICATE_VERIFY_FAILED", "its certificate is another one, or not trusted"),
      ("WRONG_VERSION_NUMBER", "what answers speaks no TLS"),
      ("unableToValidateCertificate", "its certificate is for another name"),
    ] where text.contains(mark) {
      return words
    }
    return text
  }

  /// Where the daemon is, and what `Host` says of it.
  private func place() throws(Unreachable) -> (OutboundRequest.Destination, String) {
    switch address.listen {
    case .off:
      throw Unreachable(description: "httpListen is off: the daemon cannot be asked")
    case .tcp(let host, let port):
      let named = Self.everywhere.contains(host) ? "127.0.0.1" : host
      return (.host(named, port: port), "\(URLHost.bracketed(named)):\(port)")
    case .unix(let path): return (.unix(path), "localhost")
    }
  }

  /// How the daemon is known: by its authorities' signature, or by being the very certificate that
  /// was given, whoever signed it.
  ///
  /// Names are compared only with the former, and not on this host,
  /// where the daemon is asked by an address that its certificate need not have. A probe on this
  /// host that has only the certificate's file minds nothing but the answer: while the file is gone
  /// or bad the daemon goes on with the last good one.
  private func tls() throws(Unreachable) -> (ClientTLS?, NIOSSLCertificate?) {
    let isHere =
      switch address.listen {
      case .tcp(let host, _): URLHost.isLoopback(host) || Self.everywhere.contains(host)
      case .unix, .off: true
      }
    if let authorities = address.authorities {
      return (
        ClientTLS {
          var configuration = TLSConfiguration.makeClientConfiguration()
          configuration.trustRoots = .file(authorities)
          configuration.certificateVerification =
            isHere ? .noHostnameVerification : .fullVerification
          return configuration
        }, nil
      )
    }
    guard let file = address.certificate else { return (nil, nil) }
    if isHere, address.isOpen {
      return (
        ClientTLS {
          var configuration = TLSConfiguration.makeClientConfiguration()
          configuration.trustRoots = .certificates([])
          configuration.certificateVerification = .none
          return configuration
        }, nil
      )
    }
    guard let bytes = try? RegularFile.read(file),
      let certificate = try? NIOSSLCertificate.fromPEMBytes(bytes).first
    else { throw Unreachable(description: "httpTlsCertFile has no certificate in PEM: \(file)") }
    return (
      ClientTLS {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([certificate])
        configuration.certificateVerification = .noHostnameVerification
        return configuration
      }, certificate
    )
  }

  /// Addresses to listen on that are none to ask at.
  private static let everywhere = ["0.0.0.0", "::", "*"]
}
