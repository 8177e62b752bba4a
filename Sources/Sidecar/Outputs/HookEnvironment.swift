import TokenCore

/// The environment of a program that a token is handed to: ours without what is ours alone.
struct HookEnvironment: Sendable {
  private let inherited: [String: String]

  /// Who listens for this process, and what only this process reads.
  private static let own = [
    "REDIS_URL", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID", "LISTEN_FDS",
    "LISTEN_FDNAMES", "LISTEN_PID",
  ]
  private static let ownPrefix = "WCH_"
  private static let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
  /// Where programs are, when nobody says.
  private static let usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
  /// A shorter secret is in many a text by chance.
  private static let shortestSecret = 6

  init(_ environment: [String: String]) {
    var inherited = environment.filter { name, value in
      !name.hasPrefix(Self.ownPrefix) && !Self.own.contains(name)
        // A proxy's password is one of the settings.
        && !(Self.proxies.contains(name.uppercased()) && RedactedURL(value).hasPassword)
    }
    if inherited["PATH"] == nil { inherited["PATH"] = Self.usualPath }
    self.inherited = inherited
  }

  /// For a run about that credential.
  ///
  /// - Parameter secrets: a variable that has one of them in its value is left out: the settings
  ///   may have been made from it.
  func variables(
    about part: Errand.Part, appID: String, instance: String, secrets: [String]
  ) -> [String: String] {
    let secrets = secrets.filter { $0.utf8.count >= Self.shortestSecret }
    var variables = inherited.filter { _, value in
      !secrets.contains { value.contains($0) }
    }
    variables["WCH_HOOK_ACCOUNT"] = part.credential.account.description
    variables["WCH_HOOK_KIND"] = part.credential.kind.rawValue
    variables["WCH_HOOK_APPID"] = appID
    variables["WCH_HOOK_EXPIRES_AT"] = "\(part.expiresAt)"
    variables["WCH_HOOK_VERSION"] = part.version.description
    variables["WCH_HOOK_INSTANCE"] = instance
    return variables
  }
}
