import RedisClient

/// Parses a mutated URL, shows it and reads it back.
func urlContradiction(seed: UInt64) -> String? {
  var random = SeededGenerator(seed: seed)
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
  return judge(String(text))
}

private let secret = "S3cr3t-0f-4-u53r"
private let seeds = [
  "redis://:\(secret)@host:6379/0", "rediss://user:\(secret)@[::1]:6380/3?server_name=x.y",
  "unix://:\(secret)@/run/redis.sock?db=1", "redis://h?user=u&password=\(secret)&db=2",
  "rediss-sentinel://u:\(secret)@h,i:1/2?master=m&sentinel_user=s&sentinel_tls=off",
  "rediss://h:1/2?ca_file=/a%20b&cert_file=/c&key_file=/d&password=\(secret)",
]
private let nasty = [
  "@", ":", "/", "?", "#", "%", "%00", "%ff", "%25", "%40", "[", "]", "&", "=", "://", " ", "\n",
  "密", "redis://", "db=", "password=", "99999999999999999999", "+", "-1", "..", "é",
]

private func judge(_ url: String) -> String? {
  do throws(RedisURLError) {
    let endpoint = try RedisEndpoint(url: url)
    let shown = "\(endpoint)"
    // Where mutation has put the password in another place, it is no password any more.
    if endpoint.password?.revealed == secret, shown.contains(secret) { return "\(url) shows" }
    guard endpoint.username == nil || endpoint.password != nil else { return nil }
    var again = try RedisEndpoint(url: shown)
    again.password = endpoint.password
    if case .sentinel(let set) = endpoint.topology, case .sentinel(var other) = again.topology {
      other.password = set.password
      again.topology = .sentinel(other)
    }
    return again == endpoint ? nil : "\(url) is shown as \(shown), which reads otherwise"
  } catch {
    return "\(error)".contains(secret) ? "\(url): the error shows the password: \(error)" : nil
  }
}
