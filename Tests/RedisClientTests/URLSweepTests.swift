import RedisClient
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A seeded generator (SplitMix64): the same seed gives the same inputs everywhere.
private struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

private let secret = "S3cr3t-0f-4-u53r"
private let seeds = [
  "redis://:\(secret)@host:6379/0", "rediss://user:\(secret)@[::1]:6380/3?server_name=x.y",
  "unix://:\(secret)@/run/redis.sock?db=1", "redis://h?user=u&password=\(secret)&db=2",
  "rediss://h:1/2?ca_file=/a%20b&cert_file=/c&key_file=/d&password=\(secret)",
]
private let nasty = [
  "@", ":", "/", "?", "#", "%", "%00", "%ff", "%25", "%40", "[", "]", "&", "=", "://", " ", "\n",
  "密", "redis://", "db=", "password=", "99999999999999999999", "+", "-1", "..", "é",
]

/// Parses mutated URLs; returns what shows the password or does not read back.
private func sweep(seed: UInt64, count: Int) -> [String] {
  var contradictions: [String] = []
  for index in 0..<count where contradictions.count < 10 {
    var random = SeededGenerator(seed: seed &+ UInt64(index))
    var url = Array(seeds.randomElement(using: &random)!.unicodeScalars)
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      let position = Int.random(in: 0...url.count, using: &random)
      switch Int.random(in: 0...3, using: &random) {
      case 0 where position < url.count: url.remove(at: position)
      case 1: url.removeLast((url.count - position) / 4)
      case 2 where position < url.count:
        url[position] = Unicode.Scalar(UInt8.random(in: 32...126, using: &random))
      default:
        url.insert(contentsOf: nasty.randomElement(using: &random)!.unicodeScalars, at: position)
      }
    }
    var text = String.UnicodeScalarView()
    text.append(contentsOf: url)
    contradictions += judge(String(text)).map { "seed \(seed &+ UInt64(index)): \($0)" }
  }
  return contradictions
}

private func judge(_ url: String) -> [String] {
  do throws(RedisURLError) {
    let endpoint = try RedisEndpoint(url: url)
    let shown = "\(endpoint)"
    // Where mutation has put the password in another place, it is no password any more.
    if endpoint.password?.revealed == secret, shown.contains(secret) { return ["\(url) shows"] }
    guard endpoint.username == nil || endpoint.password != nil else { return [] }
    var again = try RedisEndpoint(url: shown)
    again.password = endpoint.password
    return again == endpoint ? [] : ["\(url) is shown as \(shown), which reads otherwise"]
  } catch {
    return "\(error)".contains(secret) ? ["\(url): the error shows the password: \(error)"] : []
  }
}

@Suite("A sweep of mutated URLs")
struct URLSweepTests {
  @Test("nothing crashes, no password shows, and what is shown reads back as the same")
  func sweeps() {
    let count = unsafe getenv("WCH_SWEEP_COUNT").flatMap { Int(unsafe String(cString: $0)) } ?? 5000
    #expect(sweep(seed: 1, count: count) == [])
  }
}
