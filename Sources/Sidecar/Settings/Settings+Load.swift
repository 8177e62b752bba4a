import Dialing
import Logging
import NIOSSL
import RedisClient
import TokenCore

extension Settings {
  /// Reads flags, environment, the configuration file and the defaults, in this precedence.
  ///
  /// - Parameters:
  ///   - arguments: the flags of settings only: `--name value` or `--name=value`.
  ///   - otherFlags: what else would have been a flag there: known to the search for the nearest.
  ///   - environment: all of it: Kubernetes' service links are told by their families.
  ///   - requiresAccount: whether at least one account must be there, and everything that only the
  ///     daemon opens be in order; verbs that only look do not need it.
  ///   - logFileProblem: says why a file cannot be logged to, if it cannot.
  ///   - trials: tries what tokens are handed to.
  ///   - readFile: reads the configuration and secrets.
  ///   - listFiles: lists the directories of accounts.
  ///   - nameInstance: a name for this replica, when it has none.
  /// - Throws: `SettingsError` with every problem at once.
  package static func load(
    arguments: [String], otherFlags: [String] = [], environment: [String: String],
    requiresAccount: Bool = true,
    logFileProblem: (String) -> FileProblem? = { _ in nil }, trials: TargetTrials = .real,
    readFile: @escaping FileReader = RegularFile.read,
    listFiles: DirectoryReader = SmallDirectory.names,
    nameInstance: () -> String = defaultInstanceName
  ) throws(SettingsError) -> Settings {
    var reader = SettingsReader(
      sources: SettingsSources(
        arguments: arguments, otherFlags: otherFlags, environment: environment,
        readFile: readFile, listFiles: listFiles),
      readFile: readFile)

    _ = reader.value(.config) { $0 }
    _ = reader.value(.strict) { ["on", "off"].contains($0) ? $0 : nil }
    _ = reader.value(.accountsDir) { $0 }
    var accounts = reader.accounts(required: requiresAccount)
    let apiURLs = reader.addresses(of: &accounts)
    reader.targets(
      of: &accounts, with: requiresAccount ? trials : nil, search: environment["PATH"] ?? "")
    let apiTimeout = reader.requiredDuration(.apiTimeout)
    let apiConcurrency = reader.value(.apiConcurrency) { text in
      Int(text).flatMap { (1...1000).contains($0) ? $0 : nil }
    }
    let apiFamily = reader.value(.apiIp, parseFamily) ?? .any
    let proxies = reader.proxies(environment)
    let apiAuthorities = reader.authorities(.apiCaFile)
    let redis = reader.redis()
    reader.refuseNamesOfKeys(accounts, keyPrefix: redis.keyPrefix)
    let timing = Timing(
      lease: reader.requiredDuration(.lease), renew: reader.requiredDuration(.renew),
      retry: reader.requiredDuration(.retry), tick: reader.requiredDuration(.tick),
      opTimeout: reader.requiredDuration(.redisCommandTimeout), apiTimeout: apiTimeout)
    reader.check(timing)
    let probe = reader.duration(.probe)
    let clientExpiresBefore = reader.requiredDuration(.clientExpiresBefore)
    let serverExpiresBefore = reader.requiredDuration(.serverExpiresBefore)
    reader.weigh(timing, client: clientExpiresBefore, server: serverExpiresBefore)
    let http = reader.http(judgesFiles: requiresAccount)
    let ready = reader.ready(accounts, judgesNames: requiresAccount)
    reader.weighListening(http)
    let instance = reader.instance(nameInstance)
    let log = reader.log(problem: requiresAccount ? logFileProblem : { _ in nil })

    reader.refuseSharedKeys(accounts, prefix: redis.keyPrefix)
    guard reader.problems.isEmpty, let instance else {
      throw SettingsError(problems: reader.problems)
    }
    return Settings(
      accounts: accounts,
      files: SettingsFiles(
        configuration: reader.sources[.config]?.text,
        accounts: reader.sources[.accountsDir]?.text), apiURLs: apiURLs, apiFamily: apiFamily,
      apiConcurrency: apiConcurrency ?? WeChatClient.usualConcurrency, proxies: proxies,
      apiAuthorities: apiAuthorities, apiAuthoritiesFile: reader.sources[.apiCaFile]?.text,
      redis: redis, timing: timing, probe: probe,
      clientExpiresBefore: clientExpiresBefore, serverExpiresBefore: serverExpiresBefore,
      http: http, ready: ready, instance: instance, log: log, effective: reader.effective,
      remarks: reader.remarks, warnings: reader.warnings)
  }

  /// The host's name and a random suffix: two replicas on one host differ.
  package static func defaultInstanceName() -> String {
    var name = ""
    if let bytes = try? RegularFile.read("/proc/sys/kernel/hostname") {
      name = String(
        decoding: bytes.filter { InstanceID(String(UnicodeScalar($0))) != nil }.prefix(100),
        as: UTF8.self)
    }
    let suffix = String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16)
    return "\(name.isEmpty ? "replica" : name)-\(suffix)"
  }
}

extension SettingsReader {
  fileprivate mutating func requiredDuration(_ setting: Setting) -> Duration {
    guard let duration = duration(setting) else {
      preconditionFailure("\(setting.name) has a default in the table")
    }
    return duration
  }

  fileprivate mutating func accounts(required: Bool) -> [Settings.Account] {
    var accounts: [Settings.Account] = []
    let api: API = choice(.api) ?? .token
    let appID = value(.appid, parseAppID)
    if let given = sources[.appid] { weigh(appID: given.text, of: api, given.origin) }
    let secret = secret(.appsecret, isAcceptable: visibleProblem)
    let tickets = tickets(sources[.tickets], of: api, shownAs: Setting.tickets.name)
    let hasAppID = sources[.appid] != nil
    let hasSecret =
      sources[.appsecret] != nil || Setting.appsecret.fileTwin.flatMap { sources[$0] } != nil
    switch (hasAppID, hasSecret) {
    case (true, true):
      if let appID, let secret {
        var account = Settings.Account(
          name: .unnamed, appID: appID, secret: secret, api: api, tickets: tickets)
        account.outputs = layouts(
          sources[.outputs], of: .init(account), shownAs: Setting.outputs.name)
        accounts.append(account)
      }
    case (true, false):
      report(
        .combination,
        "WCH_APPID is given without its secret: give WCH_APPSECRET_FILE"
          + " (or WCH_APPSECRET)")
    case (false, true):
      report(.combination, "the AppSecret is given without its AppID: give WCH_APPID")
    case (false, false):
      if required, sources.accounts.isEmpty {
        report(
          .combination,
          "there is no account: give WCH_APPID and WCH_APPSECRET_FILE"
            + " (or WCH_APPSECRET), `accounts` in the file, or WCH_ACCOUNTS_DIR"
            + (sources[.accountsDir].map { "; \(quoted($0.text)) has none" } ?? ""))
      }
    }
    for setting in [Setting.tickets, .outputs] where !hasAppID && !hasSecret {
      guard let given = sources[setting] else { continue }
      report(
        given.origin,
        "is for the unnamed account, which there is none: give WCH_APPID, or"
          + " `\(setting.name)` with an entry of `accounts` in the file")
    }
    for given in sources.accounts {
      if let account = account(given, api: api) { accounts.append(account) }
    }
    refuseSharedAppIDs(accounts)
    return accounts.sorted { $0.name < $1.name }
  }

  private mutating func account(_ given: GivenAccount, api: API) -> Settings.Account? {
    guard let name = AccountName(given.name) else {
      report(
        given.origin,
        "the name must have 1 to 64 letters, digits, `.`, `_`, `-`, and must not be `default`")
      return nil
    }
    var appID: String?
    if let text = given.values[Setting.appid.name] {
      appID = parseAppID(text.text)
      if appID == nil { report(text.origin, "\(quoted(text.text)) is not \(Setting.appid.form)") }
    } else {
      report(given.place(of: Setting.appid.name), "is missing")
    }
    let hasSecret =
      given.values[Setting.appsecret.name] ?? given.values[Setting.appsecret.name + "File"] != nil
    if !hasSecret { report(given.placeOfSecret, "is missing") }
    let key = "accounts.\(given.name)"
    let secret = secret(
      .appsecret, in: given.values, shownAs: "\(key).appsecret", isAcceptable: visibleProblem)
    var api = api
    if let text = given.values[Setting.api.name] {
      guard let chosen = API(rawValue: text.text) else {
        report(text.origin, "\(quoted(text.text)) is not \(Setting.api.form)")
        return nil
      }
      api = chosen
    }
    if let text = given.values[Setting.appid.name] { weigh(appID: text.text, of: api, text.origin) }
    guard let appID, let secret else { return nil }
    show("\(key).appid", appID, given.origin)
    show("\(key).api", api.rawValue, given.values[Setting.api.name]?.origin ?? .fallback)
    let tickets = tickets(
      given.values[Setting.tickets.name], of: api, shownAs: "\(key).tickets")
    let urls = urls(given.values[Setting.apiUrl.name], shownAs: "\(key).apiUrl")
    var account = Settings.Account(
      name: name, appID: appID, secret: secret, api: api, tickets: tickets, urls: urls ?? [])
    account.outputs = layouts(
      given.values[Setting.outputs.name], of: .init(account), shownAs: "\(key).outputs")
    return account
  }

  /// Two accounts with one AppID would kill each other's tokens without end; a corp id is shared by
  /// all apps of a corporation, each with a token of its own.
  private mutating func refuseSharedAppIDs(_ accounts: [Settings.Account]) {
    let accounts = accounts.filter { !$0.api.isWeCom }
    for (appID, sharing) in Dictionary(grouping: accounts, by: \.appID).sorted(by: {
      $0.key < $1.key
    })
    where sharing.count > 1 {
      report(
        .combination,
        "the accounts \(sharing.map(\.name.description).joined(separator: " and "))"
          + " have the same AppID \(quoted(appID)): each one's fetch kills the other's token;"
          + " keep one")
    }
  }

  mutating func redis() -> Settings.Redis {
    // Without one of the schemes nobody knows where a password begins: nothing is shown then.
    let url = value(
      .redisUrl, shownAs: { hasRedisScheme($0) ? RedactedURL($0).description : "…" },
      { hasRedisScheme($0) ? $0 : nil })
    var endpoint: RedisEndpoint?
    do throws(RedisURLError) {
      endpoint = try url.map { url throws(RedisURLError) in try RedisEndpoint(url: url) }
    } catch {
      report(sources[.redisUrl]?.origin ?? .fallback, "\(error)")
    }
    let prefix = value(.keyPrefix) { text in
      isVisibleASCII(text) && text.utf8.count <= 64 && hasOneTagAtMost(text) ? text : nil
    }
    if let prefix { weigh(keyPrefix: prefix) }
    let username = value(.redisUsername) { isVisibleASCII($0) ? $0 : nil }
    let password = secret(.redisPassword)
    let doubt = endpoint.flatMap { weigh($0, password: password) }
    if let username { endpoint?.username = username }
    return Settings.Redis(
      endpoint: endpoint ?? RedisEndpoint(.unix(path: "")), password: password,
      sentinelPassword: sentinelPassword(for: endpoint), passwordDoubt: doubt,
      keyPrefix: prefix ?? "",
      connectTimeout: requiredDuration(.redisConnectTimeout))
  }

  fileprivate mutating func log(problem: (String) -> FileProblem?) -> Settings.Log {
    let log = Settings.Log(
      level: choice(.logLevel) ?? .info, format: choice(.logFormat), file: value(.logFile) { $0 })
    if log.format == nil { show(Setting.logFormat.name, "json, on a terminal text", .fallback) }
    if let given = sources[.logFile], let problem = problem(given.text) {
      report(given.origin, "the file \(quoted(given.text)) \(problem.reason)")
    }
    return log
  }

  /// The setting, or what the environment says when there is none.
  fileprivate mutating func proxies(_ environment: [String: String]) -> ProxyRules {
    let setting = value(.apiProxy, shownAs: { RedactedURL($0).description }) { $0 }
    do throws(ProxyProblem) {
      let rules = try ProxyRules(setting: setting, environment: environment)
      if let warning = rules.warning { warn(.combination, warning) }
      if setting == nil {
        let name = ProxyRules.variable(environment)
        let proxy = rules.proxy.map { "\($0)\(rules.exceptionsShown)" }
        show(
          Setting.apiProxy.name, proxy ?? "off",
          rules.proxy == nil ? .fallback : .environment(name))
      }
      return rules
    } catch {
      report(sources[.apiProxy]?.origin ?? .combination, "\(error)")
      return .none
    }
  }

  /// The certificates of a file in PEM, at least one.
  fileprivate mutating func authorities(_ setting: Setting) -> [NIOSSLCertificate] {
    guard let given = sources[setting] else { return [] }
    let bytes: [UInt8]
    do throws(FileProblem) {
      bytes = try readFile(given.text)
    } catch {
      report(given.origin, "the file \(quoted(given.text)) \(error.reason)")
      return []
    }
    let certificates = (try? NIOSSLCertificate.fromPEMBytes(bytes)) ?? []
    guard !certificates.isEmpty else {
      report(given.origin, "the file \(quoted(given.text)) has no certificate in PEM")
      return []
    }
    show(setting.name, given.text, given.origin)
    return certificates
  }

  fileprivate mutating func check(_ timing: Timing) {
    for violation in timing.violations {
      let origins = violation.names.compactMap { name in
        Setting.table.first { $0.name == name }.map { setting in
          "\(setting.environmentName) from \(sources[setting]?.origin ?? .fallback)"
        }
      }
      report(.combination, "\(violation) (\(origins.joined(separator: ", ")))")
    }
  }

  fileprivate mutating func http(judgesFiles: Bool) -> Settings.HTTP {
    let listen = value(.httpListen) { ListenAddress($0) }
    // For other verbs, which do with what they need of it.
    _ = value(.httpCaFile) { $0 }
    let certificate = readablePath(.httpTlsCertFile)
    let key = readablePath(.httpTlsKeyFile)
    if (certificate == nil) != (key == nil) {
      report(
        .combination,
        "WCH_HTTP_TLS_CERT_FILE and WCH_HTTP_TLS_KEY_FILE belong together: give both or neither")
    }
    let bearer = secret(.httpBearer, isAcceptable: visibleProblem)
    var tls: Settings.TLSFiles?
    if let certificate, let key {
      tls = Settings.TLSFiles(certificate: certificate, key: key)
      if judgesFiles { judgeTLS(certificate: certificate, key: key) }
    }
    return Settings.HTTP(listen: listen ?? .off, tls: tls, bearer: bearer)
  }

  /// Whether the two files are what they should be, and belong together.
  ///
  /// One that cannot be read was reported before.
  private mutating func judgeTLS(certificate: String, key: String) {
    guard let chain = try? readFile(certificate), let secret = try? readFile(key) else { return }
    let isChain = (try? NIOSSLCertificate.fromPEMBytes(chain))?.isEmpty == false
    let isKey = (try? NIOSSLPrivateKey(bytes: secret, format: .pem)) != nil
    if !isChain {
      report(
        sources[.httpTlsCertFile]?.origin ?? .combination,
        "the file \(quoted(certificate)) has no certificate in PEM")
    }
    if !isKey {
      report(
        sources[.httpTlsKeyFile]?.origin ?? .combination,
        "the file \(quoted(key)) has no private key in PEM")
    }
    guard isChain, isKey else { return }
    do throws(FileProblem) {
      _ = try Settings.TLSFiles.context(chain, secret)
    } catch {
      report(
        .combination,
        "WCH_HTTP_TLS_CERT_FILE and WCH_HTTP_TLS_KEY_FILE: the key in \(quoted(key)) is not that of"
          + " the first certificate in \(quoted(certificate))")
    }
  }

  /// Names are judged where all accounts are known.
  fileprivate mutating func ready(
    _ accounts: [Settings.Account], judgesNames: Bool
  ) -> Settings.Ready {
    let scope: Settings.Ready? = value(.ready) { text in
      switch text {
      case "any": return .any
      case "all": return .all([])
      default:
        var names: [AccountName] = []
        for word in text.split(separator: ",", omittingEmptySubsequences: false) {
          let start = word.firstIndex { $0 != " " } ?? word.endIndex
          let end = word.lastIndex { $0 != " " } ?? start
          let word = start < word.endIndex ? String(word[start...end]) : ""
          let isUnnamed = word == AccountName.unnamed.description
          guard let name = isUnnamed ? .unnamed : AccountName(word) else { return nil }
          if !names.contains(name) { names.append(name) }
        }
        return names.count <= SettingsSources.accountLimit ? .all(names) : nil
      }
    }
    guard let scope, case .all(let names) = scope, judgesNames else { return scope ?? .any }
    let known = accounts.map(\.name)
    for name in names where !known.contains(name) {
      let there = known.prefix(20).map(\.description).joined(separator: ", ")
      report(
        sources[.ready]?.origin ?? .fallback,
        "there is no account \(quoted(name.description)); the accounts are \(there)")
    }
    return scope
  }
}
