import Dialing
import FoundationEssentials

/// A setting of the outbound proxy that cannot be used.
package struct ProxyProblem: Error, Hashable, CustomStringConvertible {
  /// What is wrong and what would be right, without the URL's password.
  package let description: String
}

/// A proxy that calls to WeChat go through, so that they come from an address on the IP list.
package struct OutboundProxy: Hashable, Sendable, CustomStringConvertible {
  /// How the proxy is spoken to.
  package enum Kind: String, Hashable, Sendable {
    /// `CONNECT` over HTTP; TLS goes through it end to end.
    case http
    case socks5
  }

  package let kind: Kind
  package let host: String
  package let port: Int
  /// `user:password`; of HTTP proxies only.
  package let credentials: Secret?

  /// Reads `http://[user:password@]host[:port]`, `socks5://host[:port]` or `host:port`.
  ///
  /// The ports are 80 and 1080 when none is given. `socks5h://` is another word for `socks5://`:
  /// the proxy looks the name up in any case, since it may see names that are not seen here.
  package init(url: String) throws(ProxyProblem) {
    var rest = Substring(url)
    var kind = Kind.http
    if let mark = url.firstRange(of: "://") {
      switch url[..<mark.lowerBound].lowercased() {
      case "http": kind = .http
      case "socks5", "socks5h": kind = .socks5
      default:
        throw ProxyProblem(
          description: "The proxy's URL must begin with http:// or socks5://; WeChat's own TLS "
            + "goes through either")
      }
      rest = url[mark.upperBound...]
    }
    rest = rest.prefix { !"/?#".contains($0) }
    self.kind = kind
    if let at = rest.lastIndex(of: "@") {
      guard kind == .http else {
        throw ProxyProblem(description: "A SOCKS proxy with a password is not supported")
      }
      guard let decoded = PercentEncoding.decoded(rest[..<at].utf8),
        let text = String(validating: decoded, as: UTF8.self)
      else {
        throw ProxyProblem(description: "The proxy's user or password is not percent-encoded right")
      }
      credentials = Secret(text)
      rest = rest[rest.index(after: at)...]
    } else {
      credentials = nil
    }
    (host, port) = try Self.authority(rest, standard: kind == .http ? 80 : 1080)
  }

  package var description: String {
    "\(kind.rawValue)://\(credentials == nil ? "" : "***@")\(URLHost.bracketed(host)):\(port)"
  }

  /// What `Proxy-Authorization` says; nil when there is nothing to say.
  var authorization: String? {
    credentials.map { "Basic \(Data($0.revealed.utf8).base64EncodedString())" }
  }

  private static func authority(
    _ text: Substring, standard: Int
  ) throws(ProxyProblem) -> (String, Int) {
    var host = text
    var port: Substring?
    if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
      host = text[text.index(after: text.startIndex)..<end]
      let rest = text[text.index(after: end)...]
      port = rest.isEmpty ? nil : rest.dropFirst()
    } else if let colon = text.lastIndex(of: ":") {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
    }
    guard !host.isEmpty else { throw ProxyProblem(description: "The proxy's URL names no host") }
    guard let port else { return (String(host), standard) }
    guard let number = Int(port), (1...65_535).contains(number) else {
      throw ProxyProblem(description: "The proxy's port must be a number from 1 to 65535")
    }
    return (String(host), number)
  }
}

/// Which hosts are called through a proxy.
package struct ProxyRules: Hashable, Sendable {
  /// The proxy; nil when all hosts are called directly.
  package let proxy: OutboundProxy?
  /// The entries of `NO_PROXY`, in lower case.
  private let exceptions: [String]
  /// Whether the proxy came from `HTTPS_PROXY` and so is for `https` alone.
  private let isForHTTPSOnly: Bool
  /// Why the environment's proxy is not used, though there is one; nil when it is, or is none.
  ///
  /// The variable is not this program's own: what others can use is no mistake in its settings.
  package let warning: String?

  /// No proxy for any host.
  package static let none = ProxyRules(proxy: nil, exceptions: [], isForHTTPSOnly: false)

  private init(
    proxy: OutboundProxy?, exceptions: [String], isForHTTPSOnly: Bool, warning: String? = nil
  ) {
    self.proxy = proxy
    self.exceptions = exceptions
    self.isForHTTPSOnly = isForHTTPSOnly
    self.warning = warning
  }

  /// The rules that settings and environment make.
  ///
  /// - Parameters:
  ///   - setting: `WCH_API_PROXY`: a proxy for all hosts, or `off`; nil leaves it to the
  ///     environment.
  ///   - environment: where `HTTPS_PROXY` and `NO_PROXY` (or in lower case, which wins) are taken
  ///     from. A `NO_PROXY` entry is a host, a domain with all below it, either with `:port`, or
  ///     `*`.
  package init(setting: String?, environment: [String: String]) throws(ProxyProblem) {
    if let setting, !setting.isEmpty {
      self = ProxyRules(
        proxy: setting == "off" ? nil : try OutboundProxy(url: setting), exceptions: [],
        isForHTTPSOnly: false)
      return
    }
    let name = Self.variable(environment)
    let url = environment[name] ?? ""
    let exceptions = environment["no_proxy"] ?? environment["NO_PROXY"] ?? ""
    var proxy: OutboundProxy?
    var warning: String?
    if !url.isEmpty {
      do throws(ProxyProblem) {
        proxy = try OutboundProxy(url: url)
      } catch {
        warning =
          "\(name) is not used, and WeChat is called directly: \(error). WCH_API_PROXY names"
          + " another proxy, or `off`"
      }
    }
    self = ProxyRules(
      proxy: proxy,
      exceptions: exceptions.lowercased().split { $0 == "," || $0 == " " }.map(String.init),
      isForHTTPSOnly: true, warning: warning)
  }

  /// Which spelling of the environment's variable counts.
  static func variable(_ environment: [String: String]) -> String {
    environment["https_proxy"] == nil ? "HTTPS_PROXY" : "https_proxy"
  }

  /// Which hosts are called without the proxy, for people; empty when none are.
  var exceptionsShown: String {
    guard !exceptions.isEmpty else { return "" }
    return ", but not for \(exceptions.prefix(8).joined(separator: ", "))"
      + (exceptions.count > 8 ? " …" : "")
  }

  /// The proxy for that host; nil when it is called directly.
  package func proxy(forHost host: String, port: Int, isHTTPS: Bool) -> OutboundProxy? {
    guard isHTTPS || !isForHTTPSOnly else { return nil }
    let host = host.lowercased()
    let isException = exceptions.contains { entry in
      if entry == "*" { return true }
      var name = entry[...]
      if let colon = name.lastIndex(of: ":"), let wanted = Int(name[name.index(after: colon)...]),
        name.firstIndex(of: ":") == colon
      {
        guard wanted == port else { return false }
        name = name[..<colon]
      }
      if name.hasPrefix("*.") { name = name.dropFirst() }
      let domain = name.drop { $0 == "." }
      return !domain.isEmpty && (host == domain || host.hasSuffix("." + domain))
    }
    return isException ? nil : proxy
  }
}

extension String {
  /// The first place of the text.
  fileprivate func firstRange(of text: String) -> Range<Index>? { ranges(of: text).first }
}
