import Dialing
import FoundationEssentials

/// How many addresses of WeChat may be given: it has six.
private let urlLimit = 8

/// Reads a comma-separated list of `http(s)://host[:port][/path]`; nil when one is not.
func parseURLs(_ text: String) -> [BaseURL]? {
  let items = text.split(separator: ",", omittingEmptySubsequences: false)
  let urls = items.compactMap { BaseURL($0) }
  return urls.count == items.count && urls.count <= urlLimit ? urls : nil
}

func parseFamily(_ text: String) -> Dialer.Family? {
  switch text {
  case "any": .any
  case "4": .ipv4
  case "6": .ipv6
  default: nil
  }
}

/// Other clients' among them, which are refused with what to write instead.
private let redisSchemes = [
  "redis", "rediss", "unix", "redis-sentinel", "rediss-sentinel", "redis-cluster",
  "rediss-cluster", "redis+cluster", "rediss+cluster", "redis-clusters", "cluster", "sentinel",
  "sentinels", "redis+sentinel", "rediss+sentinel",
  "redis-sentinels",
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

/// Whether the braces in a prefix are none, or those of one tag at its beginning, which decides in
/// a cluster where all keys lie.
func hasOneTagAtMost(_ prefix: String) -> Bool {
  guard prefix.hasPrefix("{") else { return !prefix.contains { "{}".contains($0) } }
  let tag = prefix.dropFirst().prefix { $0 != "}" }
  let rest = prefix[tag.endIndex...]
  return !tag.isEmpty && !tag.contains("{") && rest.hasPrefix("}")
    && !rest.dropFirst().contains { "{}".contains($0) }
}

func parseAppID(_ text: String) -> String? {
  text.utf8.count <= 64 && !text.isEmpty
    && text.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || $0 == 0x5f || $0 == 0x2d
    } ? text : nil
}
