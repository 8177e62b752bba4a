import Dialing
import RedisClient
import TokenCore

/// Values that can be used, and are probably not what was meant: each is a warning.
extension SettingsReader {
  /// Says what looks wrong with a secret, without telling any of it; nil when nothing does.
  static func doubt(about secret: String) -> String? {
    guard let first = secret.unicodeScalars.first, let last = secret.unicodeScalars.last else {
      return nil
    }
    let ends = [first, last]
    if first == "\u{feff}" {
      return "it begins with a byte order mark, which is taken as a part of it: save it without"
    }
    if ends.contains(where: { $0 == "\n" || $0 == "\r" }) {
      return "it begins or ends with a line end (beside the one that a file may end with), which is"
        + " taken as a part of it: write it with `printf %s`"
    }
    let isInvisible: Set<UnicodeScalar> = ["\u{200b}", "\u{200c}", "\u{200d}", "\u{feff}"]
    if ends.contains(where: { $0.properties.isWhitespace || isInvisible.contains($0) }) {
      return "it begins or ends with white space, which is taken as a part of it"
    }
    if secret.utf8.count >= 2, first == last, first == "\"" || first == "'" {
      return "it stands in quotes, which are taken as a part of it: `docker run --env-file` and"
        + " Kubernetes keep them, a shell does not"
    }
    return nil
  }

  /// Warns about a secret that was read.
  mutating func weigh(_ secret: Secret, _ name: String, _ origin: Origin) {
    guard let doubt = Self.doubt(about: secret.revealed) else { return }
    warn(origin, "\(name) looks wrong: \(doubt)")
  }

  /// Warns about what a Redis URL says beside the place.
  ///
  /// - Returns: what looks wrong with the password that counts.
  mutating func weigh(_ endpoint: RedisEndpoint, password: SecretSource?) -> String? {
    let origin = sources[.redisUrl]?.origin ?? .fallback
    if let tls = endpoint.tls {
      let files = [
        ("ca_file", tls.caFile), ("cert_file", tls.certFile), ("key_file", tls.keyFile),
      ]
      for case (let name, let path?) in files {
        do throws(FileProblem) {
          _ = try readFile(path)
        } catch {
          report(
            origin,
            "\(name): the file \(quoted(path)) \(error.reason), and no connection is made without"
              + " it")
        }
      }
    }
    if let password { return Self.doubt(about: password.current().revealed) }
    guard let password = endpoint.password?.revealed, let doubt = Self.doubt(about: password) else {
      return nil
    }
    warn(origin, "the password in the URL looks wrong: \(doubt)")
    return doubt
  }

  /// Reads the sentinels' password, and warns about one that nobody is asked for.
  mutating func sentinelPassword(for endpoint: RedisEndpoint?) -> SecretSource? {
    guard let password = secret(.redisSentinelPassword) else { return nil }
    guard case .single? = endpoint?.topology else { return password }
    warn(
      .combination,
      "\(Setting.redisSentinelPassword.environmentName) is given, and the Redis URL names no"
        + " sentinels: it is of no use")
    return password
  }

  /// The record of such an account would be the unnamed account's.
  mutating func refuseNamesOfKeys(_ accounts: [Settings.Account], keyPrefix: String) {
    let layout = KeyLayout(prefix: keyPrefix)
    let keys = CredentialID.Kind.allCases.flatMap { kind in
      let credential = CredentialID(.unnamed, kind)
      return [layout.key(.credential, credential), layout.key(.expiry, credential)]
    }
    for account in accounts where keys.contains(account.name.rawValue) {
      report(
        .combination,
        "an account is named \(quoted(account.name.rawValue)), as a key of the unnamed account is:"
          + " give it another name")
    }
  }

  /// Warns about a prefix that Redis's patterns and `redis-cli` do not read as it stands.
  mutating func weigh(keyPrefix prefix: String) {
    guard let strange = prefix.first(where: { !KeyPattern.isPlain($0) }) else { return }
    warn(
      sources[.keyPrefix]?.origin ?? .fallback,
      "\(quoted(prefix)) has \(quoted(String(strange))): patterns of Redis (ACL rules, KEYS, SCAN)"
        + " and shells read it as something else; letters, digits, `.`, `_`, `-` and `:` are safe")
  }

  /// Refuses what is surely no AppID, and warns about what probably is none.
  mutating func weigh(appID: String, of api: API, _ origin: Origin) {
    if appID.hasPrefix("gh_") {
      report(
        origin,
        "\(quoted(appID)) is an original ID (of gh_…): the AppID stands beside it in WeChat's"
          + " console, and begins with wx")
    } else if api.isWeCom {
      // The oldest corporations' begin as AppIDs do.
      if !appID.hasPrefix("ww"), !appID.hasPrefix("wx") {
        warn(origin, "\(quoted(appID)) does not begin with ww, as WeCom's corp ids do")
      }
    } else if appID.hasPrefix("ww") {
      report(
        origin,
        "\(quoted(appID)) is a corp id of WeCom: its tokens are kept with the api"
          + " \(API.corpToken.rawValue)")
    } else if !appID.hasPrefix("wx") {
      warn(origin, "\(quoted(appID)) does not begin with wx, as WeChat's AppIDs do")
    }
  }

  /// Says what strangers can read, when the interface is not for this host alone.
  mutating func weighListening(_ http: Settings.HTTP) {
    guard case .tcp(let host, _) = http.listen, !URLHost.isLoopback(host), http.bearer == nil
    else { return }
    remark(
      sources[.httpListen]?.origin ?? .fallback,
      "whoever reaches \(http.listen) can read the status, the metrics and the probes, which hold"
        + " no secret; /v1/token and /v1/refresh answer on loopback only, since there is no"
        + " \(Setting.httpBearer.environmentName)")
  }

  /// Warns about addresses of WeChat that are probably a slip.
  mutating func weigh(apiURLs urls: [BaseURL], _ origin: Origin) {
    var seen: Set<String> = []
    for url in urls {
      if !url.path.isEmpty {
        warn(
          origin,
          "\(quoted(url.text)) has a path: tokens are asked for at"
            + " \(quoted("\(url.path)/cgi-bin/token")); right for a relay, wrong for WeChat itself")
      }
      if !seen.insert(url.authority).inserted {
        warn(
          origin,
          "\(quoted(url.authority)) is given twice: after a failure the next attempt goes to the"
            + " same host")
      }
    }
  }

  /// Warns about times that hold their rules and leave next to nothing.
  mutating func weigh(_ timing: Timing, client: Duration, server: Duration) {
    var margins = Margins()
    margins.clientExpiresBefore = client
    margins.serverExpiresBefore = server
    let life = Self.usualLife
    for (setting, given, used) in [
      (Setting.clientExpiresBefore, client, margins.client(lifetime: life)),
      (
        .serverExpiresBefore, server,
        margins.refresh(lifetime: life) - margins.client(lifetime: life)
      ),
    ] where used < given {
      warn(
        sources[setting]?.origin ?? .fallback,
        "\(given.written) is more than its share of a token's usual life of \(life.written):"
          + " \(used.written) is used, and less for shorter lives")
    }
    let ahead = margins.refresh(lifetime: life)
    let needed = timing.lease + timing.apiTimeout
    if ahead < needed {
      warn(
        .combination,
        "the next token is fetched only \(ahead.written) before the end of the last"
          + " (clientExpiresBefore + serverExpiresBefore); when a leader dies just then, that takes"
          + " up to lease + apiTimeout = \(needed.written), and the key expires meanwhile")
    }
    let renewal = timing.renew + (timing.opTimeout + timing.retry) * 2
    let call = timing.apiTimeout + timing.renew + timing.opTimeout
    for (room, words) in [
      (timing.lease - .seconds(1) - renewal, "two failed renewals"),
      (timing.validity - call, "one call of WeChat"),
    ] where room >= .zero && room < timing.lease / 25 {
      warn(
        .combination,
        "the lease of \(timing.lease.written) leaves only \(room.written) beside \(words): a short"
          + " pause of this process or of Redis then ends leadership; lengthen the lease or shorten"
          + " renew, retry, redisCommandTimeout or apiTimeout")
    }
  }

  /// What WeChat's tokens live.
  private static let usualLife: Duration = .seconds(7200)
}
