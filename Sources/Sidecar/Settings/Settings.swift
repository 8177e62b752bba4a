package import Dialing
package import Logging
package import NIOSSL
package import RedisClient
package import TokenCore

/// Everything that the daemon was told, judged and complete.
package struct Settings: Sendable {
  /// One account at WeChat.
  package struct Account: Sendable {
    package let name: AccountName
    package let appID: String
    package let secret: SecretSource
    package let api: API
    /// The tickets that are kept beside its token, in the order of their names.
    package let tickets: [CredentialID.Kind]
    /// Where it is asked, the preferred first; at least one.
    package var urls: [BaseURL] = []
    /// Which other software's keys are written.
    package var outputs: [ForeignLayout.Choice] = []
    /// The file with its token, if there is one.
    package var file: FileTarget?
    /// The program that is run for each new credential, if there is one.
    package var hook: HookTarget?

    /// Everything that is kept for it, the access token first.
    package var credentials: [CredentialID] {
      [CredentialID(name)] + tickets.map { CredentialID(name, $0) }
    }

    /// The keys of other software that hold its credentials.
    package var otherKeys: [String] {
      credentials.flatMap { id in
        outputs.flatMap { $0.outputs(of: id.kind) }.compactMap { output in
          if case .other(let key) = output.key { key } else { nil }
        }
      }
    }

    /// Which software's that key is; nil when it is none of these.
    package func layout(of key: Output.Key, in kind: CredentialID.Kind) -> ForeignLayout? {
      outputs.first { $0.outputs(of: kind).contains { $0.key == key } }?.layout
    }
  }

  /// Redis, as far as this module understands it.
  package struct Redis: Sendable {
    /// What the URL says, with the user that overrides the URL's.
    package let endpoint: RedisEndpoint
    /// Overrides the URL's password.
    package let password: SecretSource?
    /// Of the sentinels; overrides the URL's.
    package let sentinelPassword: SecretSource?
    /// What looked wrong with the password at the start, if anything.
    package let passwordDoubt: String?
    /// The beginning of every key.
    package let keyPrefix: String
    /// For one attempt to connect, from the look-up of the name to the end of the handshake.
    package let connectTimeout: Duration

    /// What a client takes.
    ///
    /// - Parameter name: by which Redis lists its connections.
    package func configuration(clientName name: String) -> RedisConfiguration {
      var sentinels: (@Sendable () -> String?)?
      if let sentinelPassword { sentinels = { sentinelPassword.current().revealed } }
      var configuration = RedisConfiguration(endpoint: endpoint, sentinelPassword: sentinels)
      configuration.clientName = name
      configuration.connectTimeout = connectTimeout
      if let password { configuration.password = { password.current().revealed } }
      return configuration
    }
  }

  /// The status page and the HTTP interface.
  package struct HTTP: Sendable {
    package let listen: ListenAddress
    package let tls: TLSFiles?
    package let bearer: SecretSource?
  }

  /// Of whose tokens readiness is.
  package enum Ready: Hashable, Sendable, CustomStringConvertible {
    /// One live token of any account is enough.
    case any
    /// These accounts' tokens must live; all accounts' when none is named.
    case all([AccountName])

    package var description: String {
      switch self {
      case .any: "any"
      case .all(let names):
        names.isEmpty ? "all" : names.map(\.description).joined(separator: ",")
      }
    }
  }

  /// What is logged, how and where.
  package struct Log: Sendable, Hashable {
    package let level: Logger.Level
    /// Nil means JSON, or text on a terminal.
    package let format: LogFormat?
    /// Nil means stderr.
    package let file: String?
  }

  /// One setting as it is in effect, fit to be shown.
  package struct Effective: Sendable, Hashable {
    /// The key as in the file: `lease`, `accounts.shop.appid`.
    package let name: String
    /// The value, `<secret>` for a secret.
    package let value: String
    package let origin: Origin
  }

  /// The unnamed account first, then by name; some come and go while the program runs.
  package internal(set) var accounts: [Account]
  /// What was read, to be looked at for changes.
  package let files: SettingsFiles
  /// All addresses that are asked, each once; at least one.
  package let apiURLs: [BaseURL]
  /// Over which of their addresses they are called.
  package let apiFamily: Dialer.Family
  /// Calls to WeChat at a time.
  package let apiConcurrency: Int
  /// Which of them are called through a proxy.
  package let proxies: ProxyRules
  /// Authorities that are trusted at WeChat beside the system's.
  package let apiAuthorities: [NIOSSLCertificate]
  /// Where they were read.
  package let apiAuthoritiesFile: String?
  package let redis: Redis
  /// Lease, renewal and the bounds of calls: they fit together.
  package let timing: Timing
  /// How often the token is proved alive; nil for never.
  package let probe: Duration?
  package let clientExpiresBefore: Duration
  package let serverExpiresBefore: Duration
  package let http: HTTP
  /// Whose tokens `/readyz` without an account asks for.
  package let ready: Ready
  package let instance: InstanceID
  package let log: Log
  /// Every setting in effect, in the table's order.
  package internal(set) var effective: [Effective]
  /// What deserves a look and is right for many: shown by `check` alone.
  package let remarks: [SettingsProblem]
  /// What was ignored only because `WCH_STRICT` is off, and what works but is unwise.
  package let warnings: [SettingsProblem]

  /// That WeChat's certificate cannot be verified on this machine as it is; nil when it can.
  package var authoritiesWarning: String? {
    guard apiAuthorities.isEmpty, apiURLs.contains(where: \.isHTTPS) else {
      return nil
    }
    do throws(SystemAuthorities.Missing) {
      _ = try SystemAuthorities.path()
      return nil
    } catch {
      return "\(error)"
    }
  }

  /// What each credential of each account means to its keeper.
  package var credentials: [CredentialID: Credential] {
    Dictionary(
      uniqueKeysWithValues: accounts.flatMap { account in
        account.credentials.map { ($0, credential($0, of: account)) }
      })
  }

  private func credential(_ id: CredentialID, of account: Account) -> Credential {
    var credential = Credential()
    switch Question(isWeCom: account.api.isWeCom, id.kind) {
    case .token:
      credential.fetch = account.api == .stableToken ? .renewsWhenForced : .renews
      credential.probe = probe
    case .corpToken:
      credential.fetch = .reads(.weComToken)
      credential.probe = probe
    case .ticket, .corpTicket:
      credential.fetch = .reads(.ticket)
      credential.source = CredentialID(account.name)
    }
    credential.otherOutputs = account.outputs.flatMap { $0.outputs(of: id.kind) }
    return credential
  }

  /// The two margins together, as the core takes them.
  package var margins: Margins {
    var margins = Margins()
    margins.clientExpiresBefore = clientExpiresBefore
    margins.serverExpiresBefore = serverExpiresBefore
    return margins
  }

  /// Reads every secret's file again and says which cannot be used now.
  ///
  /// - Parameter accounts: those that there are by now.
  package func secretProblems(of accounts: [Account]) -> [SettingsProblem] {
    let others = [redis.password, redis.sentinelPassword, http.bearer].compactMap(\.self)
    let sources = accounts.map(\.secret) + others
    return sources.compactMap { source in
      guard let file = source.file else { return nil }
      _ = file.current()
      return file.problem().map { SettingsProblem(.wholeFile(file.path), $0.reason) }
    }
  }

  /// The settings in effect as a table of name, value and origin, without secrets.
  package func describe() -> String {
    let nameWidth = effective.map(\.name.count).max() ?? 0
    let valueWidth = min(60, effective.map(\.value.count).max() ?? 0)
    func padded(_ text: String, _ width: Int) -> String {
      text + String(repeating: " ", count: max(0, width - text.count))
    }
    return effective.map {
      "\(padded($0.name, nameWidth))  \(padded($0.value, valueWidth))  \($0.origin)"
    }.joined(separator: "\n")
  }
}
