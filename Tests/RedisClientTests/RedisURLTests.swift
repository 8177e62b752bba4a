import RedisClient
import Testing

@Suite("Redis URLs")
struct RedisURLTests {
  private func parse(_ url: String) throws(RedisURLError) -> RedisEndpoint {
    try RedisEndpoint(url: url)
  }

  private func failure(_ url: String) -> RedisURLError? {
    do throws(RedisURLError) {
      _ = try parse(url)
      return nil
    } catch { return error }
  }

  @Test(
    "host, port and database are read",
    arguments: [
      ("redis://h", "h", 6379, 0), ("redis://h/", "h", 6379, 0), ("REDIS://h:1/15", "h", 1, 15),
      ("redis://127.0.0.1:65535/2147483647", "127.0.0.1", 65535, 2_147_483_647),
      ("redis://[::1]:7000/1", "::1", 7000, 1), ("redis://[fe80::1]", "fe80::1", 6379, 0),
      (
        "redis://redis.default.svc.cluster.local:6379?db=3", "redis.default.svc.cluster.local",
        6379, 3
      ),
      ("redis://my_host/?db=3", "my_host", 6379, 3), ("redis://h:", "h", 6379, 0),
      ("redis://[::1]:/1", "::1", 6379, 1), ("redis://h:007/1", "h", 7, 1),
      ("redis://REDIS.Example.:1", "redis.example.", 1, 0), ("redis://h%41-%7e", "ha-~", 6379, 0),
      ("redis://127.1", "127.0.0.1", 6379, 0), ("redis://0x7f.1", "127.0.0.1", 6379, 0),
      ("redis://2130706433", "127.0.0.1", 6379, 0), ("redis://127.0.0.256", "127.0.0.256", 6379, 0),
      ("redis://xn--fiqs8s", "xn--fiqs8s", 6379, 0),
      ("redis://[FE80::1%25lo]", "fe80::1%lo", 6379, 0),
      ("redis://[fe80::1%lo]:1", "fe80::1%lo", 1, 0),
      ("redis://[fe80::1%2525]", "fe80::1%25", 6379, 0),
      ("redis://[::ffff:127.0.0.1]", "::ffff:127.0.0.1", 6379, 0),
    ])
  func hosts(url: String, host: String, port: Int, database: Int) throws {
    let endpoint = try parse(url)
    #expect(endpoint.topology == .single(.tcp(host: host, port: port)))
    #expect(endpoint.database == database && endpoint.tls == nil)
    #expect(endpoint.username == nil && endpoint.password == nil)
  }

  @Test(
    "user and password are percent-decoded once",
    arguments: [
      ("redis://user:pw@h", "user", "pw"), ("redis://:pw@h", nil, "pw"),
      ("redis://:%40%3A%2F%23%25%3F@h", nil, "@:/#%?"), ("redis://:a:b@h", nil, "a:b"),
      ("redis://:%2540@h", nil, "%40"), ("redis://u%3Aser:@h", "u:ser", nil),
      ("redis://user@h", "user", nil), ("redis://:@h", nil, nil), ("redis://@h", nil, nil),
      ("redis://h?user=u&password=p%26w", "u", "p&w"), ("redis://u@h?password=p+w", "u", "p+w"),
      ("redis://:%E5%AF%86%E7%A0%81@h", nil, "密码"), ("unix://u:p@/s", "u", "p"),
      ("unix:///s?user=u&password=p", "u", "p"),
    ] as [(String, String?, String?)])
  func users(url: String, user: String?, password: String?) throws {
    let endpoint = try parse(url)
    #expect(endpoint.username == user)
    #expect(endpoint.password?.revealed == password)
  }

  @Test("a socket's path is percent-decoded and its database is a parameter")
  func sockets() throws {
    let endpoint = try parse("unix:///run/my%20redis.sock?db=2")
    #expect(endpoint.topology == .single(.unix(path: "/run/my redis.sock")))
    #expect(endpoint.database == 2)
    #expect(failure("unix:///" + String(repeating: "a", count: 106)) == nil)
    #expect(failure("unix:///" + String(repeating: "a", count: 107)) == .pathTooLong(limit: 107))
  }

  @Test("TLS takes its files and a name from the query")
  func tls() throws {
    let url = "rediss://h:6380/1?ca_file=/ca%20s.pem&cert_file=/c&key_file=/k&server_name=redis.x"
    let endpoint = try parse(url)
    #expect(endpoint.tls?.caFile == "/ca s.pem")
    #expect(endpoint.tls?.certFile == "/c" && endpoint.tls?.keyFile == "/k")
    #expect(endpoint.tls?.serverName == "redis.x")
    #expect(try parse("rediss://h").tls == RedisEndpoint.TLS())
    #expect(endpoint.description == url)
  }

  @Test(
    "what is wrong is refused by name",
    arguments: [
      ("", RedisURLError.schemeMissing), ("h:6379", .schemeMissing), ("redis:/h", .schemeMissing),
      ("://h", .schemeMissing), ("p@ss://h", .schemeMissing), ("http://h", .schemeUnknown("http")),
      ("redis://", .hostMissing), ("redis:///0", .hostMissing), ("redis://:6379", .hostMissing),
      ("redis://a b", .forbiddenCharacter), ("redis://h\n", .forbiddenCharacter),
      ("redis://:密@h", .forbiddenCharacter), ("redis://:p#w@h", .fragment),
      ("redis://:p@w@h", .unescapedAtSign), ("redis://:p/w@h", .unescapedAtSign),
      ("redis://:p?w@h", .unescapedAtSign), ("redis://h%20", .hostInvalid),
      ("redis://h%4", .hostInvalid), ("redis://h!", .hostInvalid),
      ("redis://%e5%af%86", .hostInvalid),
      ("redis://[::1%]", .hostInvalid), ("redis://[::1%25]x", .hostInvalid),
      ("redis://h,i", .severalHosts), ("redis://[::1", .hostInvalid),
      ("redis://[1.2.3.4]", .hostInvalid),
      ("redis://[g::1]", .hostInvalid), ("redis://::1", .hostMissing),
      ("redis://[::1]x", .portInvalid),
      ("redis://h:0", .portInvalid),
      ("redis://h:65536", .portInvalid),
      ("redis://h:+1", .portInvalid), ("redis://h:1:2", .portInvalid),
      ("redis://h/x", .databaseInvalid), ("redis://h/-1", .databaseInvalid),
      ("redis://h/1/", .databaseInvalid), ("redis://h/2147483648", .databaseInvalid),
      ("redis://h/1?db=1", .databaseTwice), ("redis://h?db=x", .databaseInvalid),
      ("unix://host/s", .hostNotAllowed), ("unix://", .pathMissing), ("unix:///", .pathMissing),
      ("unix:///%00", .notText(.path)), ("redis://:%zz@h", .badPercentEncoding(.password)),
      ("redis://%4:p@h", .badPercentEncoding(.user)), ("redis://:%ff@h", .notText(.password)),
      ("redis://h?timeout=1", .parameterUnknown("timeout")),
      ("redis://h?DB=1", .parameterUnknown("DB")),
      ("redis://h?db=1&db=1", .parameterTwice("db")), ("redis://h?db=", .parameterEmpty("db")),
      ("redis://h?", .parameterWithoutValue), ("redis://h?db", .parameterWithoutValue),
      ("redis://h?db=1&", .parameterWithoutValue), ("redis://h?=1", .parameterWithoutValue),
      ("redis://u@h?user=u", .givenTwice(.user)),
      ("redis://:p@h?password=p", .givenTwice(.password)),
      ("redis://h?ca_file=/x", .needsTLS("ca_file")),
      ("unix:///s?key_file=/x", .needsTLS("key_file")),
      ("rediss://h?cert_file=/x", .certificateWithoutKey),
      ("rediss://h?key_file=/x", .keyWithoutCertificate),
      ("rediss://h?server_name=a%20b", .serverNameInvalid),
    ])
  func refusals(url: String, error: RedisURLError) {
    #expect(failure(url) == error)
  }

  // MARK: Sentinels

  @Test(
    "the sentinels, the primary's name and what is the sentinels' own are read",
    arguments: [
      ("redis-sentinel://h1,h2:1/3?master=m", ["h1:26379", "h2:1"], "m", 3),
      (
        "redis-sentinel://[::1],10.0.0.1:2?master=a-b:c", ["[::1]:26379", "10.0.0.1:2"], "a-b:c", 0
      ),
      ("REDIS-Sentinel://H1/?db=2&master=my%2Bmaster", ["h1:26379"], "my+master", 2),
    ])
  func sentinels(url: String, hosts: [String], primary: String, database: Int) throws {
    let endpoint = try parse(url)
    guard case .sentinel(let set) = endpoint.topology else {
      Issue.record("no sentinels")
      return
    }
    #expect(set.sentinels.map(\.description) == hosts)
    #expect(set.primary == primary && endpoint.database == database)
    #expect(set.username == nil && set.password == nil && !set.hasTLS && endpoint.tls == nil)
    #expect(try parse("\(endpoint)") == endpoint)
  }

  @Test("user and password are the nodes'; the sentinels' own are parameters")
  func sentinelUsers() throws {
    let url = "redis-sentinel://u:p@h?master=m&sentinel_user=s&sentinel_password=q"
    let endpoint = try parse(url)
    guard case .sentinel(let set) = endpoint.topology else {
      Issue.record("no sentinels")
      return
    }
    #expect(endpoint.username == "u" && endpoint.password?.revealed == "p")
    #expect(set.username == "s" && set.password?.revealed == "q")
    #expect(
      "\(endpoint)"
        == "redis-sentinel://u:***@h:26379/0?master=m&sentinel_user=s&sentinel_password=***")
  }

  @Test("TLS is with nodes and sentinels, unless it is off with these")
  func sentinelTLS() throws {
    for (suffix, hasTLS) in [("", true), ("&sentinel_tls=off", false)] {
      let url = "rediss-sentinel://h:26379/0?master=m\(suffix)&ca_file=/c"
      let endpoint = try parse(url)
      guard case .sentinel(let set) = endpoint.topology else {
        Issue.record("no sentinels")
        return
      }
      #expect(set.hasTLS == hasTLS && endpoint.tls?.caFile == "/c")
      #expect("\(endpoint)" == url)
    }
  }

  @Test(
    "for what other clients write, the error says what to write instead",
    arguments: [
      ("redis-sentinel://h#mymaster", RedisURLError.fragmentForPrimary, "?master=NAME"),
      (
        "redis-sentinel://h/0?sentinelMasterId=m", .foreignNameOfPrimary("sentinelMasterId"),
        "?master=NAME"
      ),
      ("redis://h?master_name=m", .foreignNameOfPrimary("master_name"), "?master=NAME"),
      (
        "redis-sentinel://h?sentinelServiceName=m", .foreignNameOfPrimary("sentinelServiceName"),
        "?master=NAME"
      ),
      ("redis://h?addr=h2:1", .foreignSentinels("addr"), "redis-sentinel://h1:26379,h2:26379/0"),
      ("sentinel://h;sentinel://i", .foreignScheme("sentinel"), "redis-sentinel://"),
      ("redis+sentinel://h/m/0", .foreignScheme("redis+sentinel"), "redis-sentinel://"),
      ("redis-sentinel://h/mymaster", .primaryInPath, "?master=NAME"),
      ("redis-sentinel://h/mymaster/0", .primaryInPath, "?master=NAME"),
      ("redis-sentinel://h/0/mymaster", .primaryInPath, "?master=NAME"),
      ("redis-sentinel://h", .primaryMissing, "?master=NAME"),
      ("redis-sentinel://h/1?db=1&master=m", .databaseTwice, "database"),
      ("redis://h?master=m", .needsSentinels("master"), "redis-sentinel://"),
      ("redis://h?sentinel_user=m", .needsSentinels("sentinel_user"), "redis-sentinel://"),
      ("redis-sentinel://h,h:26379?master=m", .sentinelTwice, "twice"),
      ("redis-sentinel://h,?master=m", .hostMissing, "host"),
      ("redis-sentinel://h?master=a%20b", .primaryInvalid, "visible"),
      ("redis-sentinel://h?master=m&sentinel_tls=on", .sentinelTLSInvalid, "rediss-sentinel://"),
      ("redis-sentinel://h?master=m&ca_file=/c", .needsTLS("ca_file"), "TLS"),
    ])
  func foreignSpellings(url: String, error: RedisURLError, words: String) {
    #expect(failure(url) == error)
    #expect("\(error)".contains(words), "\(error)")
  }

  @Test("a URL of the greatest length is read and one byte more is refused")
  func length() {
    let url = "redis://h?password="
    #expect(failure(url + String(repeating: "p", count: 8192 - url.count)) == nil)
    #expect(failure(url + String(repeating: "p", count: 8193 - url.count)) == .tooLong(limit: 8192))
  }

  @Test(
    "no description and no dump shows the password",
    arguments: [
      "redis://:hunter2@h", "redis://u:hunter2@h:1/2", "redis://h?password=hunter2",
      "unix://u:hunter2@/s", "redis://hunter2@h", "rediss://u:hunter2@[::1]:1/0",
      "redis-sentinel://u:hunter2@h?master=m&sentinel_password=hunter2",
    ])
  func redacted(url: String) throws {
    let endpoint = try parse(url)
    var dumped = ""
    dump(endpoint, to: &dumped)
    for shown in [endpoint.description, String(reflecting: endpoint), dumped] {
      #expect(!shown.contains("hunter2"))
    }
    #expect(endpoint.description.contains("***@"))
  }

  @Test(
    "no error shows the password",
    arguments: [
      "redis://:hunter2@", "redis://:hunter2", "redis://:hunter2/x@h", "redis://:hunter2#@h",
      "redis://:hunter2%@h", "hunter2@h", "redis://:@hunter2@h", "redis://h?password=hunter2%",
      "hunter2://h", "redis://:a/hunter2@h/0", "redis://u:1hunter2@h:x",
      "redis://a?password=x&hunter2",
    ])
  func errorsAreRedacted(url: String) throws {
    let error = try #require(failure(url))
    if url != "hunter2://h" { #expect(!"\(error)\(String(reflecting: error))".contains("hunter2")) }
  }
}
