import Dialing
import NIOCore
import NIOHTTP1

/// Why a request is not taken, though the parser took it.
struct RequestProblem: Error {
  let problem: Problem
  let detail: String
}

/// A request's head, as far as it decides what is answered and to whom.
struct StatusRequest: Sendable {
  let method: HTTPMethod
  let version: HTTPVersion
  let path: String
  /// Behind the `?`, as it was sent; empty when there is none.
  let query: String
  /// Every authority that the request names: the target's, if it has one, and `Host`.
  let authorities: [String]
  let headers: HTTPHeaders
  let keepsAlive: Bool
  /// Whether the client is on this host: on loopback or a Unix socket.
  ///
  /// A listener on every address serves applications of the same pod this way, and the network
  /// cannot reach it: the kernel drops packets from outside with a loopback address.
  let isLocal: Bool
  /// Whether the connection is a Unix socket, where `Host` means nothing.
  let isUnix: Bool

  /// Longer targets are none of ours.
  static let longestTarget = 8 * 1024

  init(_ head: HTTPRequestHead, isLocal: Bool, isUnix: Bool) throws(RequestProblem) {
    guard head.uri.utf8.count <= Self.longestTarget else {
      throw RequestProblem(
        problem: .targetTooLong, detail: "The target is longer than \(Self.longestTarget) bytes.")
    }
    // RFC 9112 section 6.1: what cannot be decoded must not be taken for a body.
    guard
      head.headers[canonicalForm: "transfer-encoding"].allSatisfy({
        $0.lowercased() == "chunked"
      })
    else {
      throw RequestProblem(
        problem: .unknownCoding, detail: "Of transfer codings only chunked is known here.")
    }
    let hosts = head.headers["host"]
    // RFC 9112 section 3.2: whoever looks at another of two hosts would be fooled. On a Unix socket
    // there is no host, and some clients send none.
    guard hosts.count == 1 || (hosts.isEmpty && (isUnix || head.version == .http1_0)) else {
      throw RequestProblem(
        problem: .badRequest,
        detail: hosts.isEmpty ? "The Host is missing." : "There is more than one Host.")
    }
    var authorities = hosts
    var target = head.uri[...]
    if !target.hasPrefix("/"), head.method != .OPTIONS || target != "*" {
      // RFC 9112 section 3.2.2: the form that proxies are asked with, whose authority counts.
      guard let mark = target.firstIndex(of: ":"), target[mark...].hasPrefix("://"),
        ["http", "https"].contains(target[..<mark].lowercased())
      else {
        throw RequestProblem(
          problem: .badRequest, detail: "The target must be a path, such as /livez.")
      }
      let rest = target[target.index(mark, offsetBy: 3)...]
      let authority = rest.prefix { !"/?#".contains($0) }
      authorities.append(String(authority))
      target = rest[authority.endIndex...]
    }
    let path = target.prefix { $0 != "?" && $0 != "#" }
    self.path = path.isEmpty ? "/" : String(path)
    query = String(target[path.endIndex...].dropFirst().prefix { $0 != "#" })
    method = head.method
    version = head.version
    headers = head.headers
    self.authorities = authorities
    // After a request to speak another protocol the parser reads no more on the connection, though
    // the answer is HTTP's: clients that offer HTTP/2 so would wait for their next answer in vain.
    keepsAlive = head.isKeepAlive && !head.headers.contains(name: "upgrade")
    self.isLocal = isLocal
    self.isUnix = isUnix
  }

  /// Whether a body follows the head, as far as the head tells.
  var hasBody: Bool {
    headers.contains(name: "transfer-encoding")
      || headers["content-length"].contains { $0 != "0" }
  }

  var expectsContinue: Bool {
    version == .http1_1 && headers[canonicalForm: "expect"].contains { $0 == "100-continue" }
  }

  /// The length of the body, when the head tells it.
  var contentLength: Int? { headers.first(name: "content-length").flatMap { Int($0) } }

  /// The first value of that name in the query, decoded; nil when there is none, or it is not text.
  func parameter(_ name: String) -> String? {
    for pair in query.split(separator: "&") {
      let key = pair.prefix { $0 != "=" }
      guard Self.decode(key) == name else { continue }
      return Self.decode(pair[key.endIndex...].dropFirst())
    }
    return nil
  }

  /// The name of a parameter that is none of these, or is given again; nil when there is none.
  func strayParameter(beside known: [String]) -> String? {
    var rest = known
    for pair in query.split(separator: "&") {
      let key = pair.prefix { $0 != "=" }
      guard let place = rest.firstIndex(where: { $0 == Self.decode(key) }) else {
        return String(key)
      }
      rest.remove(at: place)
    }
    return nil
  }

  private static func decode(_ text: Substring) -> String? {
    let plus = UInt8(ascii: "+")
    return PercentEncoding.decoded(text.utf8.lazy.map { $0 == plus ? UInt8(ascii: " ") : $0 })
      .flatMap { String(validating: $0, as: UTF8.self) }
  }

  /// Whether every authority that the request names is this host's loopback.
  var isForThisHost: Bool { !authorities.isEmpty && authorities.allSatisfy(Self.isLoopback) }

  /// Whether an authority is a name or an address of this host's loopback: `localhost`, any of
  /// 127.0.0.0/8, `[::1]`, with a port or without.
  static func isLoopback(_ authority: String) -> Bool {
    var host = authority[...]
    var port: Substring?
    if host.hasPrefix("[") {
      guard let end = host.firstIndex(of: "]") else { return false }
      let rest = host[host.index(after: end)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { return false }
      port = rest.isEmpty ? nil : rest.dropFirst()
      host = host[host.index(after: host.startIndex)..<end]
      guard isLoopbackIPv6(host) else { return false }
    } else {
      if let colon = host.firstIndex(of: ":") {
        port = host[host.index(after: colon)...]
        host = host[..<colon]
      }
      guard isLocalhost(host) || isLoopbackIPv4(host) else { return false }
    }
    guard let port else { return true }
    // RFC 3986 section 3.2.3 lets a port be empty.
    return port.isEmpty
      || (port.utf8.count <= 5 && isDigits(port) && (Int(port) ?? .max) <= 65_535)
  }

  /// RFC 6761 section 6.3: `localhost` and every name below it.
  private static func isLocalhost(_ host: Substring) -> Bool {
    let name = (host.hasSuffix(".") ? host.dropLast() : host).lowercased()
    guard name != "localhost" else { return true }
    return name.hasSuffix(".localhost") && !name.hasPrefix(".")
      && name.utf8.allSatisfy {
        isDigits("\(Character(UnicodeScalar($0)))") || $0 == UInt8(ascii: "-")
          || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "_")
          || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
      }
  }

  private static func isLoopbackIPv4(_ host: Substring) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { $0.utf8.count <= 3 && isDigits($0) && UInt8($0) != nil }
  }

  /// `::1` in any of its spellings.
  private static func isLoopbackIPv6(_ host: Substring) -> Bool {
    guard host.utf8.count <= 45,
      let address = try? SocketAddress(ipAddress: String(host), port: 0)
    else { return false }
    return address.ipAddress == "::1"
  }

  private static func isDigits(_ text: some StringProtocol) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }
}

extension StatusRequest {
  /// The language that its reader gets.
  var language: Language {
    .chosen(parameter: parameter("lang"), accepted: headers["accept-language"])
  }
}
