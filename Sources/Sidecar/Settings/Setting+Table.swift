/// The one table: flags, variables, keys of the file, defaults and documentation come from here.
///
/// Settings.md#the-settings is the contract.
extension Setting {
  static let config = Setting(
    "config", .path, inFile: false, "A JSON5 file with settings.")
  static let strict = Setting(
    "strict", .oneOf(["on", "off"]), default: "on",
    "With `off`, unknown `WCH_` variables are warnings instead of errors.")
  static let appid = Setting(
    "appid", .text("an AppID such as `wx0123456789abcdef`"),
    "The AppID of the unnamed account; with `gettoken` the corp id.")
  static let appsecret = Setting(
    "appsecret", .text("the AppSecret from WeChat's console"), secret: true,
    "The AppSecret of the unnamed account; with `gettoken` the secret of one app.")
  static let api = Setting(
    "api", .oneOf(API.allCases.map(\.rawValue)), default: "token",
    "WeChat's endpoint: `stable_token` survives a crash between fetch and store, `gettoken` is "
      + "WeCom's.")
  static let tickets = Setting(
    "tickets",
    .list(
      "a comma-separated list of `jsapi`, `wx_card`, or with `gettoken` "
        + "`jsapi`, `agent_config`"),
    "The tickets that are kept beside the unnamed account's token.")
  static let outputs = Setting(
    "outputs",
    .list("a comma-separated list of `NAME`, `NAME:PREFIX` or `NAME:PREFIX#PLACEHOLDER`"),
    "Other software whose keys are written, too, for the unnamed account: "
      + ForeignLayout.all.map { "`\($0.name)`" }.joined(separator: ", ") + ".")
  static let file = Setting(
    "file", .text("the path of a file, or `off`"), default: "off",
    "A file with the token, on every replica; with several accounts `{account}` stands for the "
      + "account's name in it.")
  static let fileFormat = Setting(
    "fileFormat", .oneOf(FileTarget.Form.allCases.map(\.rawValue)), default: "json",
    "What is in it: `json` with tickets, the token alone, lines of a shell, or the PHP of WeChat's "
      + "sample.")
  static let fileMode = Setting(
    "fileMode", .text("permissions in octal, from `0400` to `0777`"), default: "0640",
    "Who may read it, whatever the umask.")
  static let fileOwner = Setting(
    "fileOwner", .text("`USER`, `USER:GROUP` or `:GROUP`, as names or numbers"),
    "Whose it is; else the daemon's. Another user than the daemon's own takes root.")
  static let exec = Setting(
    "exec", .command, default: "off",
    "A program that is run for each new token and ticket, which it reads from stdin; no shell is "
      + "between. `{account}` and `{kind}` in an argument stand for what it is about. Or `off`.")
  static let execOn = Setting(
    "execOn", .oneOf(["leader", "all"]), default: "leader",
    "Where it is run: on the replica that leads, or on all.")
  static let accountsDir = Setting(
    "accountsDir", .text("the path of a directory"),
    "A directory of accounts, as a mounted secret has them: `NAME/appid`, `NAME/appsecret`, and "
      + "`NAME/api`, `NAME/tickets` and `NAME/outputs` where they differ; read again when it "
      + "changes.")
  static let apiUrl = Setting(
    "apiUrl", .list("a comma-separated list of at most 8 `https://host[:port]`"),
    default: API.token.usualURL,
    "WeChat's addresses, tried in order when one cannot be reached; without any, "
      + "`\(API.corpToken.usualURL)` with `gettoken`.")
  static let apiTimeout = Setting(
    "apiTimeout", .duration(.milliseconds(50) ... .seconds(60)), default: "5s",
    "The bound of one whole call to WeChat; must fit in the lease.")
  static let apiConcurrency = Setting(
    "apiConcurrency", .text("a number from 1 to 1000"), default: "64",
    "Calls to WeChat at a time; the others wait for their turn.")
  static let apiIp = Setting(
    "apiIp", .oneOf(["any", "4", "6"]), default: "any",
    "Over which addresses WeChat is asked: `4` or `6` when only IPv4 or IPv6 ones of this machine "
      + "are on the IP list.")
  static let apiProxy = Setting(
    "apiProxy", .text("`http://[user:password@]host[:port]`, `socks5://host[:port]` or `off`"),
    "The proxy to WeChat; else `HTTPS_PROXY` and `NO_PROXY`. A flag must not carry a password.")
  static let apiCaFile = Setting(
    "apiCaFile", .path,
    "PEM certificates of authorities that are trusted at WeChat beside the system's.")
  static let redisUrl = Setting(
    "redisUrl",
    .text(
      "a URL with the scheme `redis`, `rediss`, `unix`, `redis-sentinel`, `rediss-sentinel`, "
        + "`redis-cluster` or `rediss-cluster`"),
    default: "redis://127.0.0.1:6379/0",
    "Where Redis is; the variable `REDIS_URL` is read too. A flag must not carry a password.")
  static let redisUsername = Setting(
    "redisUsername", .text("the name of a Redis user"),
    "The Redis user; overrides the URL's.")
  static let redisPassword = Setting(
    "redisPassword", .text("the password of the Redis user"), secret: true,
    "The Redis password; overrides the URL's.")
  static let redisSentinelPassword = Setting(
    "redisSentinelPassword", .text("the password of the sentinels"), secret: true,
    "The password that Sentinel asks for itself; the user is `sentinel_user` in the URL.")
  static let keyPrefix = Setting(
    "keyPrefix",
    .text("1 to 64 visible ASCII characters, without braces but for one `{tag}` at the beginning"),
    default: "WCH_",
    "The beginning of every key in Redis; with a `{tag}` all are in one slot of a Redis Cluster.")
  static let lease = Setting(
    "lease", .duration(.milliseconds(100) ... .seconds(3600)), default: "15s",
    "How long a leader leads without renewing.")
  static let renew = Setting(
    "renew", .duration(.milliseconds(10) ... .seconds(3600)), default: "5s",
    "How often the leader renews its lease.")
  static let retry = Setting(
    "retry", .duration(.milliseconds(10) ... .seconds(3600)), default: "2s",
    "How often a candidate tries to lead, with jitter.")
  static let tick = Setting(
    "tick", .duration(.milliseconds(50) ... .seconds(3600)), default: "20s",
    "How often everything is looked at whatever was noticed; with more than 100 accounts, how "
      + "often their keys are checked.")
  static let redisCommandTimeout = Setting(
    "redisCommandTimeout", .duration(.milliseconds(10) ... .seconds(60)), default: "1500ms",
    "The bound of one Redis command; connecting has its own.")
  static let redisConnectTimeout = Setting(
    "redisConnectTimeout", .duration(.milliseconds(100) ... .seconds(60)), default: "5s",
    "The bound of one attempt to connect to Redis: name look-up, connecting, TLS and login.")
  static let probe = Setting(
    "probe", .duration(.seconds(1) ... .seconds(86400), orOff: true), default: "5m",
    "How often the leader proves the token alive at WeChat.")
  static let clientExpiresBefore = Setting(
    "clientExpiresBefore", .duration(.zero ... .seconds(3600)), default: "120s",
    "How long before its real expiry clients stop trusting a token.")
  static let serverExpiresBefore = Setting(
    "serverExpiresBefore", .duration(.seconds(1) ... .seconds(3600)), default: "60s",
    "How long before that the leader refreshes it.")
  static let httpListen = Setting(
    "httpListen", .text("`host:port`, `[IPv6]:port`, `unix:/path` or `off`"),
    default: "127.0.0.1:2130", "Where the status page and the HTTP interface answer.")
  static let httpTlsCertFile = Setting(
    "httpTlsCertFile", .path,
    "A PEM certificate chain: HTTP becomes HTTPS; read again when it changes.")
  static let httpTlsKeyFile = Setting(
    "httpTlsKeyFile", .path, "The PEM private key of that certificate.")
  static let httpBearer = Setting(
    "httpBearer", .text("visible ASCII characters"), secret: true,
    "When set, `/v1/token` and `/v1/refresh` always require it.")
  static let httpCaFile = Setting(
    "httpCaFile", .path,
    "For the verbs that ask the daemon: PEM certificates of the authorities that sign the daemon's;"
      + " without it exactly `httpTlsCertFile` is trusted.")
  static let ready = Setting(
    "ready", .text("`any`, `all`, or names of accounts with commas between them"), default: "any",
    "Whose live tokens `/readyz` without an account asks for; the unnamed account is `default`.")
  static let instance = Setting(
    "instance", .text("1 to 128 letters, digits, `.`, `_`, `-`"),
    "This replica's name, used exactly as given; else the host's name and a random suffix.")
  static let logLevel = Setting(
    "logLevel",
    .oneOf(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
    default: "info", "The least severe level that is logged.")
  static let logFormat = Setting(
    "logFormat", .oneOf(["json", "text"]),
    "How events are written: `json`, or `text` by default on a terminal.")
  static let logFile = Setting(
    "logFile", .path, "Where to log instead of stderr; reopened on SIGHUP.")

  /// Every row, in the order of the documentation.
  package static let table: [Setting] = [
    config, strict, appid, appsecret, api, tickets, outputs, file, fileFormat, fileMode, fileOwner,
    exec, execOn, accountsDir, apiUrl, apiTimeout, apiIp, apiConcurrency, apiProxy, apiCaFile,
    redisUrl, redisUsername, redisPassword,
    redisSentinelPassword, keyPrefix, lease, renew, retry, tick, redisCommandTimeout,
    redisConnectTimeout, probe, clientExpiresBefore, serverExpiresBefore,
    httpListen, httpTlsCertFile, httpTlsKeyFile,
    httpCaFile, httpBearer, ready, instance, logLevel, logFormat, logFile,
  ].flatMap { [$0] + [$0.fileTwin].compactMap(\.self) }

  /// What an entry of `accounts` in the file may hold.
  static let accountTable: [Setting] = [
    appid, appsecret, appsecret.fileTwin, api, tickets, outputs, apiUrl, file, fileFormat, fileMode,
    fileOwner, exec, execOn,
  ]
  .compactMap(\.self)
}
