/// Which accounts the APIs are for, by the beginnings of their paths.
enum APIFamily {
  private static let officialAccounts: Set<AppSettings.AccountType> = [
    .officialAccount, .testAccount,
  ]

  /// A beginning that is longer stands before one that it begins with itself.
  private static let families: [(prefix: String, owners: Set<AppSettings.AccountType>)] = [
    ("/cgi-bin/component/", [.component]),
    ("/cgi-bin/wxopen/", [.miniProgram]),
    ("/cgi-bin/message/wxopen/", [.miniProgram]),
    ("/cgi-bin/message/mass/", officialAccounts),
    ("/cgi-bin/message/template/", officialAccounts),
    ("/cgi-bin/menu/", officialAccounts),
    ("/cgi-bin/user/", officialAccounts),
    ("/cgi-bin/tags/", officialAccounts),
    ("/cgi-bin/draft/", officialAccounts),
    ("/cgi-bin/freepublish/", officialAccounts),
    ("/cgi-bin/", Set(AppSettings.AccountType.allCases)),
    ("/wxa/", [.miniProgram]),
    ("/wxaapi/", [.miniProgram]),
    ("/datacube/getweanalysis", [.miniProgram]),
    ("/datacube/", officialAccounts),
    ("/card/", officialAccounts),
    ("/customservice/", officialAccounts),
    // These take a user's token, and have no quota that could be asked for.
    ("/sns/", []),
  ]

  /// The types of account that the path is for; nil when the path is of no known family.
  static func owners(of path: String) -> Set<AppSettings.AccountType>? {
    families.first { path.hasPrefix($0.prefix) }?.owners
  }
}

extension AppSettings {
  /// Whether the account has the permission for that API; a path that isn't known is for everybody.
  func mayCall(_ path: String) -> Bool {
    guard !unauthorizedPaths.contains(where: { path.hasPrefix($0) }) else { return false }
    guard let owners = APIFamily.owners(of: path), !owners.isEmpty else { return true }
    return owners.contains(accountType)
  }
}
