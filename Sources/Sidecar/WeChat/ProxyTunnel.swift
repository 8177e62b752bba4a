import Dialing
import NIOHTTP1

/// The talk with a proxy that ends in a connection to the host behind it: what to say, and what its
/// answers mean.
///
/// Written here since AsyncHTTPClient's `CONNECT` has no port in `Host` (strict proxies answer 400)
/// and hides what the proxy said; and since two exchanges of a few bytes are all of it.
struct ProxyTunnel {
  /// What to do next.
  enum Step: Hashable {
    case send([UInt8])
    case wait
    /// The connection is the host's from here on.
    case open
  }

  private enum State {
    /// HTTP: `CONNECT` was sent. Followed by `open`.
    case connecting(ResponseParser)
    /// SOCKS: the greeting was sent. Followed by `requesting`.
    case greeting([UInt8])
    /// SOCKS: the host was named. Followed by `open`.
    case requesting([UInt8])
    case open
  }

  private let proxy: OutboundProxy
  private let host: String
  private let port: Int
  private var state: State

  /// A refusal's page is not read; its head has this bound and the parser's.
  private static let longestBody = 64 * 1024

  init(_ proxy: OutboundProxy, host: String, port: Int) {
    self.proxy = proxy
    self.host = host
    self.port = port
    switch proxy.kind {
    case .http: state = .connecting(ResponseParser(longestBody: Self.longestBody))
    case .socks5: state = .greeting([])
    }
  }

  /// What is said first.
  var opening: [UInt8] {
    switch proxy.kind {
    case .http:
      let target = "\(URLHost.bracketed(host)):\(port)"
      let credentials = proxy.authorization.map { "proxy-authorization: \($0)\r\n" } ?? ""
      return Array("CONNECT \(target) HTTP/1.1\r\nhost: \(target)\r\n\(credentials)\r\n".utf8)
    // Version 5, and one way to be known: none.
    case .socks5: return [5, 1, 0]
    }
  }

  /// Takes what the proxy says.
  mutating func receive(_ bytes: [UInt8]) throws(OutboundFailure) -> Step {
    switch state {
    case .connecting(var parser):
      do {
        try parser.feed(bytes)
      } catch {
        // The status of a refusal is all that counts, whatever comes behind it.
        guard parser.status >= 300 else {
          throw .tunnel("the proxy's answer to CONNECT was not understood: \(error)")
        }
        throw refusal(parser.status)
      }
      state = .connecting(parser)
      guard parser.isHeadComplete else { return .wait }
      guard (200..<300).contains(parser.status) else { throw refusal(parser.status) }
      state = .open
      return .open
    case .greeting(let before):
      let all = before + bytes
      state = .greeting(all)
      guard all.count >= 2 else { return .wait }
      guard all[0] == 5 else { throw .tunnel("the proxy does not speak SOCKS 5") }
      guard all[1] == 0 else { throw .tunnel("the SOCKS proxy wants a user and a password") }
      state = .requesting(Array(all[2...]))
      return .send(request)
    case .requesting(let before):
      let all = before + bytes
      state = .requesting(all)
      guard all.count >= 5 else { return .wait }
      guard all[1] == 0 else { throw .tunnel(Self.socksRefusal(all[1])) }
      let address: Int
      switch all[3] {
      case 1: address = 4
      case 4: address = 16
      case 3: address = 1 + Int(all[4])
      default: throw .tunnel("the SOCKS proxy's answer was not understood")
      }
      guard all.count >= 4 + address + 2 else { return .wait }
      state = .open
      return .open
    case .open: return .wait
    }
  }

  /// CONNECT to the name, which the proxy looks up: it may see names that are not seen here.
  private var request: [UInt8] {
    let target: [UInt8] =
      if let four = IPAddress.v4(host) {
        [1] + four
      } else if let six = IPAddress.v6(host) {
        [4] + six
      } else {
        [3, UInt8(clamping: host.utf8.count)] + host.utf8.prefix(255)
      }
    return [5, 1, 0] + target + [UInt8(port >> 8 & 255), UInt8(port & 255)]
  }

  private func refusal(_ status: Int) -> OutboundFailure {
    if status == 407 {
      let hint =
        proxy.authorization == nil ? "it wants a user and a password" : "it refused the password"
      return .tunnel("the proxy answered 407 Proxy Authentication Required to CONNECT: \(hint)")
    }
    let phrase = HTTPResponseStatus(statusCode: status).reasonPhrase
    return .tunnel(
      "the proxy answered \(status)\(phrase.isEmpty ? "" : " \(phrase)") to CONNECT")
  }

  private static func socksRefusal(_ code: UInt8) -> String {
    let reason =
      switch code {
      case 1: "it failed"
      case 2: "its rules do not allow it"
      case 3: "the network is unreachable"
      case 4: "the host is unreachable, or its name is not known"
      case 5: "the connection was refused"
      case 6: "the time is over"
      default: "code \(code)"
      }
    return "the SOCKS proxy did not connect: \(reason)"
  }
}
