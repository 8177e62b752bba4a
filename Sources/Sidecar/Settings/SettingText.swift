import Dialing
import FoundationEssentials

/// How many addresses of WeChat may be given: it has six.
private let urlLimit = 8

/// Reads a comma-separated list of `http(s)://host[:port][/path]`; nil when one is not.
func parseURLs(_ text: String) -> [String]? {
  let urls = text.split(separator: ",", omittingEmptySubsequences: false).map { item in
    var url = item.drop { $0 == " " }
    while url.last == " " || url.last == "/" { url.removeLast() }
    return String(url)
  }
  guard urls.count <= urlLimit, urls.allSatisfy(isPlainURL) else { return nil }
  return urls
}

/// Whether a URL has only a scheme, a host, a port and a path.
private func isPlainURL(_ url: String) -> Bool {
  guard let scheme = ["https://", "http://"].first(where: url.lowercased().hasPrefix),
    isVisibleASCII(url),
    !url.contains(where: { "?#@\\\"<>".contains($0) })
  else { return false }
  let authority = url.dropFirst(scheme.count).prefix { $0 != "/" }
  let afterAddress = authority.hasPrefix("[") ? authority.firstIndex(of: "]") : nil
  let colon = authority[(afterAddress ?? authority.startIndex)...].firstIndex(of: ":")
  return URLHost(authority[..<(colon ?? authority.endIndex)]) != nil
    && colon.map { isPort(authority[$0...].dropFirst()) } ?? true
}

/// RFC 3986 allows a port to be left out after its colon, and zeros before it.
private func isPort(_ text: Substring) -> Bool {
  text.utf8.allSatisfy { (0x30...0x39).contains($0) }
    && (text.isEmpty || Int(text).map { (1...65535).contains($0) } == true)
}

func parseFamily(_ text: String) -> Dialer.Family? {
  switch text {
  case "any": .any
  case "4": .ipv4
  case "6": .ipv6
  default: nil
  }
}

private let redisSchemes = [
  "redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel", "redis-cluster",
  "rediss-cluster",
]

func hasRedisScheme(_ url: String) -> Bool {
  url.firstRange(of: "://").map { redisSchemes.contains(url[..<$0.lowerBound].lowercased()) }
    == true
}

/// An AppSecret has 32 hexadecimal digits; anything visible passes, white space never does.
@Sendable func visibleProblem(_ text: String) -> FileProblem? {
  isVisibleASCII(text) && text.utf8.count <= 1024
    ? nil
    : FileProblem("holds white space, a control character or more than 1024 characters")
}

func parseAppID(_ text: String) -> String? {
  text.utf8.count <= 64 && !text.isEmpty
    && text.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || $0 == 0x5f || $0 == 0x2d
    } ? text : nil
}
