import Logging
import RedisClient
import Testing
import TokenCore

@testable import Sidecar

@Suite struct SettingsTests {
  @Test func `an AppID and its secret are enough, the rest has the documented defaults`() throws {
    let settings = try loadSettings([], leastEnvironment)
    #expect(settings.accounts.map(\.name) == [.unnamed])
    #expect(settings.accounts[0].appID == "wx0123456789abcdef")
    #expect(settings.accounts[0].secret.current() == Secret("s3cr3t-s3cr3t"))
    #expect(settings.accounts[0].api == .token)
    #expect(settings.apiURLs.map(\.text) == ["https://api.weixin.qq.com"])
    #expect(settings.redis.endpoint.description == "redis://127.0.0.1:6379/0")
    #expect(settings.redis.keyPrefix == "WCH_")
    #expect(settings.redis.password == nil)
    #expect(settings.timing == Timing())
    #expect(settings.probe == .seconds(300))
    #expect(settings.clientExpiresBefore == .seconds(120))
    #expect(settings.serverExpiresBefore == .seconds(60))
    #expect(settings.http.listen == .tcp(host: "127.0.0.1", port: 2130))
    #expect(settings.instance == InstanceID("host-1"))
    #expect(settings.log == Settings.Log(level: .info, format: nil, file: nil))
    #expect(settings.warnings == [])
  }

  @Test(
    arguments: zip(
      ["redisCommandTimeout", "appid", "httpTlsCertFile", "apiUrl"],
      [
        ["WCH_REDIS_COMMAND_TIMEOUT", "--redis-command-timeout"], ["WCH_APPID", "--appid"],
        ["WCH_HTTP_TLS_CERT_FILE", "--http-tls-cert-file"], ["WCH_API_URL", "--api-url"],
      ]))
  func `a name has three spellings by one rule`(name: String, spellings: [String]) throws {
    let setting = try #require(Setting.table.first { $0.name == name })
    #expect([setting.environmentName, setting.flagName] == spellings)
  }

  @Test func `no two rows of the table share a spelling, and every secret has a file twin`() {
    #expect(Set(Setting.table.map(\.environmentName)).count == Setting.table.count)
    for secret in Setting.table where secret.isSecret {
      #expect(Setting.table.contains { $0.name == secret.name + "File" })
    }
  }

  @Test
  func `flags win over the environment, the environment over the file, the file over defaults`()
    throws
  {
    let files = FakeFiles([
      "/c.json5": """
      { // the file
        retry: '1s', renew: "3s", logLevel: "debug", keyPrefix: "F_", }
      """
    ])
    let settings = try loadSettings(
      ["--retry=1500ms", "--config", "/c.json5"],
      leastEnvironment.merging(["WCH_RETRY": "1200ms", "WCH_RENEW": "4s"]) { $1 }, files: files)
    #expect(settings.timing.retry == .milliseconds(1500))
    #expect(settings.timing.renew == .seconds(4))
    #expect(settings.log.level == .debug)
    #expect(settings.redis.keyPrefix == "F_")
    #expect(settings.timing.lease == .seconds(15))
  }

  @Test func `all problems are reported at once, each with its origin`() {
    let files = FakeFiles(["/c.json5": "{ leese: '15s', tick: 20, logLevel: 'loud' }"])
    let found = settingsProblems(
      ["--renew", "5", "--tcik", "x", "--config=/c.json5"],
      ["WCH_APPID": "wx1", "WCH_REDIS_PORT": "6379", "WCH_RETRY": "2 s"], files: files)
    #expect(
      found == [
        "flag `--tcik`: is unknown; the nearest known one is --tick",
        "file /c.json5, key `leese`: is unknown; the nearest known one is lease",
        "file /c.json5, key tick: holds a number: give a duration from `50ms` to `1h`, in quotes",
        "environment variable `WCH_REDIS_PORT`: is unknown; the nearest known one is"
          + " WCH_REDIS_URL (WCH_STRICT=off makes this a warning)",
        "settings: WCH_APPID is given without its secret: give WCH_APPSECRET_FILE (or"
          + " WCH_APPSECRET)",
        "flag --renew: `5` has no unit: write `5s` or `5m`",
        "environment variable WCH_RETRY: `2 s` is not a duration from `10ms` to `1h`, such as"
          + " `500ms`, `15s`, `5m`, `2h`",
        "file /c.json5, key logLevel: `loud` is not `trace` or `debug` or `info` or `notice` or"
          + " `warning` or `error` or `critical`",
      ])
  }

  @Test(arguments: [
    ("WCH_REDIS_COMAND_TIMEOUT", "WCH_REDIS_COMMAND_TIMEOUT"), ("WCH_APPSECERT", "WCH_APPSECRET"),
    ("WCH_REDIS_HOST", "WCH_REDIS_URL"), ("WCH_LEASES", "WCH_LEASE"),
    ("WCH_HTTP_BEARER_TOKEN_FILE", "WCH_HTTP_BEARER_FILE"),
  ])
  func `an unknown variable names the nearest known one`(unknown: String, nearest: String) {
    let found = settingsProblems([], leastEnvironment.merging([unknown: "hush-hush"]) { $1 })
    #expect(found.count == 1)
    #expect(
      found.first?.contains("`\(unknown)`: is unknown; the nearest known one is \(nearest) ")
        == true)
    #expect(found.first?.contains("hush-hush") == false)
  }

  @Test(arguments: [
    [
      "WCH_SERVICE_HOST": "10.0.0.1", "WCH_SERVICE_PORT": "2130", "WCH_PORT": "tcp://10.0.0.1:2130",
      "WCH_PORT_2130_TCP": "tcp://10.0.0.1:2130", "WCH_PORT_2130_TCP_ADDR": "10.0.0.1",
      "WCH_SERVICE_PORT_HTTP": "2130",
    ],
    [
      "WCH_REDIS_SERVICE_HOST": "10.0.0.2", "WCH_REDIS_SERVICE_PORT": "6379",
      "WCH_REDIS_PORT": "tcp://10.0.0.2:6379", "WCH_REDIS_PORT_6379_TCP_PROTO": "tcp",
    ],
  ])
  func `a namespace with Services called wch and wch-redis starts`(links: [String: String]) throws {
    let settings = try loadSettings([], leastEnvironment.merging(links) { $1 })
    #expect(settings.warnings == [])
  }

  @Test(arguments: ["WCH_PORTS", "WCH_REDIS_PORT", "WCH_SERVICES", "WCH_API_SERVICE_PORT"])
  func `what no Service's family explains stays an error`(name: String) {
    // The family `WCH` explains `WCH_SERVICE_*`, `WCH_PORT` and `WCH_PORT_*` only.
    let found = settingsProblems(
      [], leastEnvironment.merging(["WCH_SERVICE_HOST": "10.0.0.1", name: "1"]) { $1 })
    #expect(found.count == 1)
  }

  @Test func `with strictness off, unknown variables are warnings and unknown flags stay errors`()
    throws
  {
    let environment = leastEnvironment.merging(["WCH_FOO": "1", "WCH_STRICT": "off"]) { $1 }
    let settings = try loadSettings([], environment)
    #expect(settings.warnings.map(\.origin) == [.environment("`WCH_FOO`")])
    #expect(settingsProblems(["--foo", "1"], environment).count == 1)
  }

  @Test(arguments: ["--appsecret", "--http-bearer", "--redis-password"], ["=", " "])
  func `a flag never carries a secret`(flag: String, separator: String) {
    let arguments = separator == "=" ? ["\(flag)=hush-hush"] : [flag, "hush-hush"]
    let found = settingsProblems(arguments)
    #expect(found.count == 1)
    #expect(found.first?.contains("_FILE") == true)
    #expect(found.first?.contains("hush-hush") == false)
  }

  @Test(arguments: [
    "redis://:hush@h:1/0", "rediss://user:hush@h", "redis://user:p@hush@h", "redis://u:a/hush@h",
    "unix:///s?password=hush", "redis://h/0?Password=hush&db=1",
  ])
  func `a Redis URL with a password is refused as a flag and hidden from everything`(url: String) {
    let found = settingsProblems(["--redis-url", url])
    #expect(found.count == 1)
    #expect(found.first?.contains("hush") == false)
    do throws(SettingsError) {
      let settings = try loadSettings([], leastEnvironment.merging(["WCH_REDIS_URL": url]) { $1 })
      #expect(settings.redis.endpoint.password == RedisPassword("hush"))
      #expect(!settings.describe().contains("hush"))
      #expect(!"\(settings)".contains("hush"))
    } catch {
      #expect(!error.description.contains("hush"))
    }
  }

  @Test(arguments: [
    ("redis://h:6379/0?db=1", "redis://h:6379/0?db=1"), ("redis://u:p@h", "redis://u:***@h"),
    ("redis://:p@h", "redis://:***@h"), ("redis://p@h", "redis://***@h"),
    ("redis://u:p", "redis://u:***"), ("redis://u:p@q@h", "redis://u:***@h"),
    ("redis-sentinel://a:1,b:2/0?master=m", "redis-sentinel://a:1,b:2/0?master=m"),
    ("redis-sentinel://a:1,u:p/0", "redis-sentinel://a:1,u:***/0"),
    ("redis://[::1]:6379", "redis://[::1]:6379"), ("redis://[::1]:p", "redis://[::1]:***"),
    ("unix:///run/s?password=p&db=1", "unix:///run/s?password=***&db=1"),
    ("https://h/x?appkey=p&q", "https://h/x?appkey=***&***"),
  ])
  func `a URL is shown without what may be a password`(url: String, shown: String) {
    #expect(RedactedURL(url).description == shown)
  }

  @Test(arguments: [
    "https://u:hush@127.0.0.1:1", "u:hush@127.0.0.1:1", "https://h,https://u:hush@h",
    "https://h/x?secret=hush", "https://h/x?hush", "https://hush@h", "https://u:hush",
  ])
  func `what is secret in a URL is shown by no setting that refuses it`(url: String) {
    for name in ["WCH_API_URL", "WCH_HTTP_LISTEN", "WCH_LEASE", "WCH_API", "WCH_CONFIG"] {
      // A path may have an `@`.
      if name == "WCH_CONFIG", !url.contains("://") { continue }
      let found = settingsProblems([], leastEnvironment.merging([name: url]) { $1 })
      #expect(found.count == 1, "\(found)")
      #expect(found.first?.contains("hush") == false, "\(found)")
    }
  }

  @Test func `the path of a secret's file is shown, unless it is a URL`() {
    let found = ["/home/a@b/secret", "https://u:hush@h"].map {
      settingsProblems([], ["WCH_APPID": "wx1", "WCH_APPSECRET_FILE": $0])[0]
    }
    #expect(found[0].contains("`/home/a@b/secret` does not exist"))
    #expect(found[1].contains("`https://u:***@h` does not exist"))
  }

  @Test(arguments: [
    ("{lease:'15s',lease:'16s'}", "lease", "line 1, column 14"),
    ("{ lease: '15s',\n \"l\\u0065ase\": '15s', 'lease': '1s' }", "lease", "line 2, column 2"),
    ("{accounts:{},\naccounts:{}}", "accounts", "line 2, column 1"),
    (
      "{accounts: {shop: {appid:'a',appsecret:'b'}, shop: {appid:'c',appsecret:'d'}}}",
      "accounts.shop", "line 1, column 46"
    ),
    (
      "{accounts: {shop: {appid:'a',appsecret:'b', appid: 'c'}}}", "accounts.shop.appid",
      "line 1, column 45"
    ),
  ])
  func `a key that comes twice is an error that names it`(
    text: String, key: String, place: String
  ) {
    let found = settingsProblems(
      [], leastEnvironment.merging(["WCH_CONFIG": "/c"]) { $1 }, files: FakeFiles(["/c": text]))
    #expect(
      found.filter { $0.contains("twice") } == [
        "file /c, key \(key): is given twice, again in \(place): keep one"
      ])
  }

  @Test func `a key that two accounts have is no repetition`() throws {
    let text = """
      {api: 'token', accounts: {a: {appid: 'wxa', appsecret: 's', api: 'token'},
       b: {appid: 'wxb', appsecret: 's', api: 'token'}}}
      """
    let settings = try loadSettings(
      [], leastEnvironment.merging(["WCH_CONFIG": "/c"]) { $1 }, files: FakeFiles(["/c": text]))
    #expect(settings.accounts.count == 3)
  }

  @Test func `a file of repetitions costs little, and is refused`() {
    let members = (0..<100_000).map { "k\($0 / 2):''" }.joined(separator: ",")
    #expect(JSON5Duplicate.all(in: Array("{\(members)}".utf8)).count == 50)
    let list = "{x: [{a:1,a:1}, {b:{c:{d:{e:1,e:1}}}}]}"
    #expect(JSON5Duplicate.all(in: Array(list.utf8)) == [])
  }

  @Test(arguments: ["u:hush@h", "u:hushh", "redis:hush", "hush"])
  func `a Redis URL without a scheme is not shown at all`(url: String) {
    let found = settingsProblems([], leastEnvironment.merging(["WCH_REDIS_URL": url]) { $1 })
    #expect(found.count == 1)
    #expect(found.first?.contains("hush") == false)
  }

  @Test func `a Redis URL without a password may be a flag`() throws {
    let settings = try loadSettings(["--redis-url", "redis://user@h:7000/3"], leastEnvironment)
    #expect(try settings.redis.endpoint == RedisEndpoint(url: "redis://user@h:7000/3"))
  }

  @Test func `REDIS_URL is an alias that WCH_REDIS_URL overrides`() throws {
    let alias = ["REDIS_URL": "redis://alias"]
    #expect(
      try loadSettings([], leastEnvironment.merging(alias) { $1 }).redis.endpoint.topology
        == .single(.tcp(host: "alias", port: 6379)))
    let both = alias.merging(["WCH_REDIS_URL": "redis://ours"]) { $1 }
    #expect(
      try loadSettings([], leastEnvironment.merging(both) { $1 }).redis.endpoint.topology
        == .single(.tcp(host: "ours", port: 6379)))
  }

  @Test func `sentinels have a password of their own, in a variable or a file`() throws {
    let url = ["WCH_REDIS_URL": "redis-sentinel://u:node@h1,h2/0?master=m&sentinel_user=s"]
    let file = url.merging(["WCH_REDIS_SENTINEL_PASSWORD_FILE": "/s"]) { $1 }
    let settings = try Settings.load(
      arguments: [], environment: leastEnvironment.merging(file) { $1 },
      readFile: { _ in Array("hush\n".utf8) })
    #expect(settings.redis.sentinelPassword?.current().revealed == "hush")
    #expect(settings.redis.password == nil && settings.warnings.isEmpty)
    let configuration = settings.redis.configuration(clientName: "x")
    #expect(configuration.sentinels != nil)
    let useless = try loadSettings(
      [], leastEnvironment.merging(["WCH_REDIS_SENTINEL_PASSWORD": "hush"]) { $1 })
    #expect(useless.warnings.contains { $0.message.contains("names no sentinels") })
  }

  @Test func `what another client writes for sentinels is refused with what to write`() {
    for url in ["sentinel://h/0", "redis+sentinel://h/m/0", "redis-sentinel://h/0?master_name=m"] {
      #expect(throws: SettingsError.self) {
        try loadSettings([], leastEnvironment.merging(["WCH_REDIS_URL": url]) { $1 })
      }
      do {
        _ = try loadSettings([], leastEnvironment.merging(["WCH_REDIS_URL": url]) { $1 })
      } catch {
        #expect("\(error)".contains("master=NAME"), "\(error)")
      }
    }
  }

  @Test(arguments: ["WCH_access_token", "WCH_expires_in"])
  func `an account is not named as a key of the unnamed account is`(name: String) {
    let file = "{ accounts: { \"\(name)\": { appid: \"wx1\", appsecret: \"hush\" } } }"
    do {
      _ = try Settings.load(
        arguments: ["--config", "/c"], environment: [:], readFile: { _ in Array(file.utf8) })
      Issue.record("it is taken")
    } catch {
      #expect("\(error)".contains("as a key of the unnamed account"), "\(error)")
    }
    #expect(throws: Never.self) {
      try Settings.load(
        arguments: ["--config", "/c", "--key-prefix", "x:"], environment: [:],
        readFile: { _ in Array(file.utf8) })
    }
  }

  @Test func `a Redis URL is judged by the client's parser at the same time`() {
    do throws(SettingsError) {
      _ = try loadSettings(
        [], leastEnvironment.merging(["WCH_REDIS_URL": "redis://h?x=1", "WCH_LEASE": "1"]) { $1 })
      Issue.record("loaded")
    } catch {
      #expect(error.problems.count == 2)
      #expect(
        error.problems.first?.description.hasPrefix(
          "environment variable WCH_REDIS_URL: the query parameter x is not known") == true)
    }
  }

  @Test(arguments: ["http://h", "h:6379", "redis:/h", "://h"])
  func `another scheme than Redis's is refused`(url: String) {
    #expect(
      settingsProblems([], leastEnvironment.merging(["WCH_REDIS_URL": url]) { $1 }).count == 1)
  }

  @Test func `a secret and its file in one source are an error, in two the higher one wins`()
    throws
  {
    let files = FakeFiles(["/s": "from-file\n", "/c": "{ appsecretFile: '/s' }"])
    let both = settingsProblems(
      [], leastEnvironment.merging(["WCH_APPSECRET_FILE": "/s"]) { $1 }, files: files)
    #expect(both.count == 1)
    #expect(both.first?.contains("so is the environment variable WCH_APPSECRET_FILE") == true)
    let settings = try loadSettings(["--config=/c"], leastEnvironment, files: files)
    #expect(settings.accounts[0].secret.current() == Secret("s3cr3t-s3cr3t"))
    let flag = try loadSettings(["--appsecret-file", "/s"], leastEnvironment, files: files)
    #expect(flag.accounts[0].secret.current() == Secret("from-file"))
  }

  @Test(arguments: [("", "is empty"), ("\n", "is empty"), ("a b", "white space")])
  func `a secret's file must hold a usable secret`(content: String, reason: String) {
    let found = settingsProblems(
      [], ["WCH_APPID": "wx1", "WCH_APPSECRET_FILE": "/s"], files: FakeFiles(["/s": content]))
    #expect(found.count == 1)
    #expect(found.first?.contains(reason) == true)
  }

  @Test func `a secret's file that is missing is named`() {
    let found = settingsProblems([], ["WCH_APPID": "wx1", "WCH_APPSECRET_FILE": "/nowhere"])
    #expect(
      found == ["environment variable WCH_APPSECRET_FILE: the file `/nowhere` does not exist"])
  }

  @Test func `accounts come from the file, the unnamed one from the top level`() throws {
    let files = FakeFiles([
      "/s": "shop-secret",
      "/c": """
      { appid: "wx0", appsecret: "top-secret", api: "stable_token",
        accounts: {
          shop: { appid: "wx1", appsecretFile: "/s" },
          game: { appid: "wx2", appsecret: "game-secret", api: "token" } } }
      """,
    ])
    let settings = try loadSettings([], ["WCH_CONFIG": "/c"], files: files)
    #expect(settings.accounts.map(\.name.description) == ["default", "game", "shop"])
    #expect(settings.accounts.map(\.appID) == ["wx0", "wx2", "wx1"])
    #expect(settings.accounts.map(\.api) == [.stableToken, .token, .stableToken])
    #expect(
      settings.accounts.map { $0.secret.current().revealed }
        == ["top-secret", "game-secret", "shop-secret"])
    #expect(!settings.describe().contains("secret\""))
  }

  @Test(arguments: [
    ("{ accounts: { shop: { appid: 'wx1' } } }", "accounts.shop.appsecretFile: is missing"),
    ("{ accounts: { shop: { appsecret: 's' } } }", "accounts.shop.appid: is missing"),
    ("{ accounts: { 'a b': { appid: 'wx1', appsecret: 's' } } }", "the name must have"),
    ("{ accounts: { default: { appid: 'wx1', appsecret: 's' } } }", "must not be `default`"),
    ("{ accounts: { a: { appid: 'wx1', appsecret: 's', apy: 'token' } } }", "known one is api"),
    ("{ accounts: { a: { appid: 'wx1', appsecret: 's', lease: '1s' } } }", "not allowed here"),
    ("{ accounts: { a: { appid: 'wx1', appsecret: 's', api: 'x' } } }", "`x` is not `token`"),
    ("{ accounts: { a: { appid: 'w x', appsecret: 's' } } }", "`w x` is not an AppID"),
    ("{ accounts: { a: 'wx1' } }", "accounts.a: holds a string"),
    ("{ accounts: [] }", "accounts: holds a list"),
    ("{ acounts: {} }", "the nearest known one is accounts"),
    ("{ config: '/other' }", "key config: is not allowed here"),
    (
      "{ accounts: { a: { appid: 'x', appsecret: 's' }, b: { appid: 'x', appsecret: 't' } } }",
      "the accounts a and b have the same AppID"
    ),
    ("[]", "holds a list and not an object"), ("{", "is not valid JSON5"),
    ("", "is not valid JSON5"), ("{ lease: null }", "key lease: holds null"),
    ("{ lease: '' }", "key lease: is empty"),
  ])
  func `what is wrong in the file is named by its key`(text: String, expected: String) {
    let environment = ["WCH_CONFIG": "/c"]
    let found = settingsProblems([], environment, files: FakeFiles(["/c": text]))
    #expect(found.contains { $0.contains(expected) }, "\(found)")
  }

  @Test func `a duration without quotes in the file is told by its key`() {
    let found = settingsProblems(
      [], leastEnvironment.merging(["WCH_CONFIG": "/c"]) { $1 },
      files: FakeFiles(["/c": "{\n  lease: 15s,\n}"]))
    #expect(
      found == [
        "file /c, key lease: holds a number: give a duration from `100ms` to `1h`, in quotes"
      ])
  }

  @Test func `a configuration file that is missing is named`() {
    #expect(settingsProblems(["--config", "/none"]) == ["file /none: does not exist"])
  }

  @Test(arguments: [
    (["lease"], "is not a flag"), (["--lease"], "needs a value"), (["--lease="], "needs a value"),
    (["--lease", "15s", "--lease", "15s"], "is given twice"), (["--"], "is not a flag"),
    (["-l", "x"], "is not a flag"),
    (["--lease", "--renew", "5s"], "flag --lease: needs a value"), (["a", "b"], "argument 1"),
  ])
  func `flags are strict`(arguments: [String], expected: String) {
    #expect(settingsProblems(arguments).first?.contains(expected) == true)
  }

  @Test(arguments: [
    ("WCH_API", "both"), ("WCH_API_URL", "api.weixin.qq.com"), ("WCH_API_URL", "https://h?x=1"),
    ("WCH_API_URL", "https://u@h"), ("WCH_API_URL", "https://a,,https://b"),
    ("WCH_API_URL", "https://h:99999"), ("WCH_API_URL", "https://"), ("WCH_KEY_PREFIX", "a{b}"),
    ("WCH_KEY_PREFIX", "a b"), ("WCH_INSTANCE", "a:b"), ("WCH_INSTANCE", "a b"),
    ("WCH_LOG_FORMAT", "xml"), ("WCH_HTTP_LISTEN", "2130"), ("WCH_HTTP_LISTEN", "::1:2130"),
    ("WCH_HTTP_LISTEN", "h:65536"), ("WCH_HTTP_LISTEN", "unix:relative"),
    ("WCH_HTTP_LISTEN", ":2130"), ("WCH_PROBE", "never"), ("WCH_PROBE", "0s"),
    ("WCH_SERVER_EXPIRES_BEFORE", "0s"), ("WCH_LEASE", "1d"), ("WCH_LEASE", "-1s"),
    ("WCH_LEASE", "1.5s"), ("WCH_LEASE", "99999999999999999999s"), ("WCH_LEASE", ""),
    ("WCH_STRICT", "no"), ("WCH_APPID", "wx 1"), ("WCH_APPSECRET", "a\n"),
    ("WCH_HTTP_BEARER", "a b"), ("WCH_HTTP_TLS_CERT_FILE", "/none"),
  ])
  func `a wrong value is refused with what would be right`(name: String, value: String) {
    let found = settingsProblems([], leastEnvironment.merging([name: value]) { $1 })
    #expect(!found.isEmpty)
    #expect(found.first?.hasPrefix("environment variable \(name): ") == true)
  }

  @Test(arguments: [
    ("127.0.0.1:0", ListenAddress.tcp(host: "127.0.0.1", port: 0)),
    ("[::1]:2130", .tcp(host: "::1", port: 2130)), ("0.0.0.0:80", .tcp(host: "0.0.0.0", port: 80)),
    ("unix:/run/wch.sock", .unix(path: "/run/wch.sock")), ("off", .off),
  ])
  func `where to listen`(text: String, expected: ListenAddress) throws {
    let settings = try loadSettings(["--http-listen", text], leastEnvironment)
    #expect(settings.http.listen == expected)
    #expect(settings.http.listen.description == text)
  }

  @Test func `a certificate needs its key`() {
    let found = settingsProblems(
      [], leastEnvironment.merging(["WCH_HTTP_TLS_CERT_FILE": "/cert"]) { $1 },
      files: FakeFiles(["/cert": "x"]))
    #expect(found.count == 1)
    #expect(found.first?.contains("belong together") == true)
  }

  @Test func `the probe can be off, and several addresses are tried in order`() throws {
    let settings = try loadSettings(
      ["--probe", "off", "--api-url", "https://a/, https://b:8443,http://10.0.0.1"],
      leastEnvironment)
    #expect(settings.probe == nil)
    #expect(settings.apiURLs.map(\.text) == ["https://a", "https://b:8443", "http://10.0.0.1"])
    #expect(settings.warnings.map(\.message).first?.contains("in clear") == true)
  }

  @Test(arguments: [
    ("WCH_REDIS_PASSWORD", "\u{feff}pw", "byte order mark"),
    ("WCH_REDIS_PASSWORD", "pw\n", "line end"), ("WCH_REDIS_PASSWORD", " pw", "white space"),
    ("WCH_REDIS_PASSWORD", "pw\u{3000}", "white space"), ("WCH_REDIS_PASSWORD", "'pw'", "quotes"),
    ("WCH_REDIS_URL", "redis://:pw%0A@r", "line end"),
    ("WCH_REDIS_URL", "redis://:%22pw%22@r", "quotes"),
    ("WCH_APPID", "1", "does not begin with wx"),
    ("WCH_APPSECRET", "\"0f1e\"", "quotes"), ("WCH_KEY_PREFIX", "a*b", "`*`"),
    ("WCH_KEY_PREFIX", "a\"b", "`\"`"), ("WCH_API_URL", "https://a/cgi-bin", "has a path"),
    ("WCH_API_URL", "https://a,https://A:443", "given twice"),
    ("WCH_CLIENT_EXPIRES_BEFORE", "1h", "30m is used"),
    ("WCH_SERVER_EXPIRES_BEFORE", "16m", "15m is used"),
    ("WCH_CLIENT_EXPIRES_BEFORE", "0s", ""),
    ("WCH_LEASE", "13s", "leaves only 0s beside two failed renewals"),
  ])
  func `a value that looks right and is probably not is a warning that tells no secret`(
    name: String, value: String, words: String
  ) throws {
    let settings = try loadSettings([], leastEnvironment.merging([name: value]) { $1 })
    let told = settings.warnings.map(\.description)
    guard !words.isEmpty else { return #expect(told.isEmpty) }
    #expect(told.count == 1 && told[0].contains(words), "\(told)")
    #expect(!told.joined().contains("pw") && !told.joined().contains("0f1e"))
    #expect((settings.redis.passwordDoubt != nil) == (value.contains("pw")))
  }

  @Test func `a password in a file that ends with two newlines is a warning`() throws {
    let files = FakeFiles(["/one": "pw\n", "/two": "pw\n\n"])
    for (file, count) in [("/one", 0), ("/two", 1)] {
      let settings = try loadSettings(
        [], leastEnvironment.merging(["WCH_REDIS_PASSWORD_FILE": file]) { $1 }, files: files)
      #expect(settings.warnings.count == count)
      #expect((settings.redis.passwordDoubt != nil) == (count == 1))
    }
  }

  @Test func `little time between the next token and the end of the last is a warning`() throws {
    let margins = ["WCH_CLIENT_EXPIRES_BEFORE": "0s", "WCH_SERVER_EXPIRES_BEFORE": "10s"]
    let settings = try loadSettings([], leastEnvironment.merging(margins) { $1 })
    #expect(settings.warnings.count == 1)
    #expect(settings.warnings.first?.message.contains("only 10s before") == true)
  }

  @Test func `rules for Redis mean the keys of an odd prefix and no others`() {
    let rules = AccessRules(layout: KeyLayout(prefix: "a*[b]\"c"))
    #expect(rules.replica.contains(#"~a\*\[b\]"c*"#))
    #expect(rules.replica.contains(#"&a\*\[b\]"cevents"#))
    #expect(rules.reader.contains(#"%R~a\*\[b\]"caccess_token*"#))
    #expect(AccessRules(layout: KeyLayout(prefix: "WCH_")).replica.contains("~WCH_*"))
  }

  @Test(arguments: [
    (["WCH_APPID": "gh_0123456789ab"], "original ID"), (["WCH_APPID": "ww0123"], "WeCom"),
    (["WCH_REDIS_URL": "rediss://r?ca_file=/gone"], "ca_file: the file `/gone` does not exist"),
    (["wch_lease": "30s"], "capital letters, WCH_LEASE"), (["WCH_PROBE": "0"], "or `off`"),
    (["WCH_READY": "default,shop"], "no account `shop`; the accounts are default"),
    (["WCH_READY": "a b"], "or names of accounts"),
  ])
  func `what is surely a slip is an error that says what would be right`(
    environment: [String: String], words: String
  ) {
    let found = settingsProblems([], leastEnvironment.merging(environment) { $1 })
    #expect(found.count == 1 && found[0].contains(words), "\(found)")
    #expect(!found.joined().contains("`0s`"))
  }

  @Test func `a variable of somebody else's is none of ours`() throws {
    _ = try loadSettings([], leastEnvironment.merging(["wch_other": "x", "Wchx": "y"]) { $1 })
  }

  @Test func `an interface for others without a bearer is remarked on, and no warning`() throws {
    for (listen, count) in [("0.0.0.0:2130", 1), ("127.0.0.1:2130", 0), ("unix:/s", 0)] {
      let settings = try loadSettings(
        [], leastEnvironment.merging(["WCH_HTTP_LISTEN": listen]) { $1 })
      #expect(settings.remarks.count == count)
      #expect(settings.warnings.isEmpty)
    }
  }

  @Test func `check shows the environment's proxy and how events are written`() throws {
    let settings = try loadSettings(
      [],
      leastEnvironment.merging(["HTTPS_PROXY": "http://u:hush@p:3128", "NO_PROXY": "a.b"]) { $1 })
    let shown = settings.describe().split(separator: "\n")
    let proxy = try #require(shown.first { $0.hasPrefix("apiProxy ") })
    #expect(proxy.contains("http://***@p:3128, but not for a.b"))
    #expect(proxy.contains("environment variable HTTPS_PROXY"))
    #expect(shown.contains { $0.hasPrefix("logFormat ") })
  }

  @Test(arguments: [
    ("any", Settings.Ready.any), ("all", .all([])),
    ("default", .all([.unnamed])), (" default , default", .all([.unnamed])),
  ])
  func `whose tokens readiness asks for is a setting`(text: String, scope: Settings.Ready) throws {
    let settings = try loadSettings([], leastEnvironment.merging(["WCH_READY": text]) { $1 })
    #expect(settings.ready == scope)
  }

  @Test func `a verb that only looks needs no account`() throws {
    #expect(settingsProblems([], [:]).count == 1)
    #expect(try loadSettings([], [:], requiresAccount: false).accounts.isEmpty)
  }

  @Test func `the settings in effect show every value's origin and no secret`() throws {
    let files = FakeFiles(["/c": "{ retry: '1s' }", "/b": "bearer-hush"])
    let settings = try loadSettings(
      ["--config", "/c", "--log-level", "debug"],
      leastEnvironment.merging(["WCH_TICK": "10s", "WCH_HTTP_BEARER_FILE": "/b"]) { $1 },
      files: files)
    let lines = settings.describe().split(separator: "\n").map {
      $0.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }
    for line in [
      "retry 1s file /c, key retry", "logLevel debug flag --log-level",
      "tick 10s environment variable WCH_TICK", "lease 15s default",
      "appsecret <secret> environment variable WCH_APPSECRET",
      "httpBearerFile /b environment variable WCH_HTTP_BEARER_FILE", "instance host-1 default",
    ] {
      #expect(lines.contains(line), "\(lines)")
    }
    #expect(!settings.describe().contains("s3cr3t"))
    #expect(!"\(settings)".contains("s3cr3t"))
    var dumped = ""
    dump(settings, to: &dumped)
    #expect(!dumped.contains("s3cr3t"))
    #expect(!dumped.contains("hush"))
  }

  @Test func `secret files that went bad are told while the last good values stay`() throws {
    let files = FakeFiles(["/s": "first", "/b": "bearer"])
    let settings = try loadSettings(
      ["--appsecret-file=/s", "--http-bearer-file=/b"], ["WCH_APPID": "wx1"], files: files)
    #expect(settings.secretProblems(of: settings.accounts) == [])
    files["/s"] = ""
    #expect(
      settings.secretProblems(of: settings.accounts).map(\.description) == ["file /s: is empty"])
    #expect(settings.accounts[0].secret.current() == Secret("first"))
    files["/s"] = "second"
    #expect(settings.secretProblems(of: settings.accounts) == [])
  }

  @Test func `the default name is usable and differs each time`() {
    let names = (0..<8).map { _ in Settings.defaultInstanceName() }
    #expect(names.allSatisfy { InstanceID($0) != nil })
    #expect(Set(names).count == 8)
  }

  @Test func `timing that cannot work is refused with the numbers and where they came from`() {
    let found = settingsProblems(["--renew", "10s"])
    #expect(
      found == [
        "settings: renew + 2 × (redisCommandTimeout + retry) ≤ lease - 1s does not hold: 10s + 2 ×"
          + " (1.5s + 2s) = 17s, and 15s - 1s = 14s; shorten the left side or use a lease of at"
          + " least 18s (WCH_RENEW from flag --renew, WCH_REDIS_COMMAND_TIMEOUT from default,"
          + " WCH_RETRY from default, WCH_LEASE from default)",
        "settings: apiTimeout < lease × 0.99 - 500ms - renew - redisCommandTimeout does not hold:"
          + " 5s, and 15s × 0.99 - 500ms - 10s - 1.5s = 2.85s; shorten apiTimeout or lengthen the"
          + " lease, so that a fetch fits in it (WCH_API_TIMEOUT from default, WCH_LEASE from"
          + " default, WCH_RENEW from flag --renew, WCH_REDIS_COMMAND_TIMEOUT from default)",
      ])
  }
}
