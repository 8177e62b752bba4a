package import TokenCore

/// Which accounts a replica keeps, in a form that others compare with their own.
///
/// A name with another AppID is another account; a ticket is marked by itself.
package struct AccountMarks: Hashable, Sendable {
  /// Tells one set of accounts from another.
  package let digest: String
  /// What stands for each account: it tells nobody its name or AppID who does not know them.
  private let marks: [CredentialID: String]
  /// The accounts that are WeCom's.
  private(set) var corporations: Set<AccountName> = []

  /// Hexadecimal digits of a mark: of 256 accounts one is taken for another's once in 16 million
  /// times, and then only that nobody keeps it goes unsaid.
  static let length = 8

  package init(_ accounts: [Settings.Account]) {
    self.init(
      accounts.flatMap { account in account.credentials.map { ($0, account.appID) } })
    corporations = Set(accounts.filter(\.api.isWeCom).map(\.name))
  }

  package init(_ accounts: [(name: CredentialID, appID: String)]) {
    let words = accounts.map { "\($0.name) \($0.appID)" }
    digest = TokenStore.digest(words.sorted().joined(separator: "\n"))
    marks = Dictionary(
      zip(accounts.map(\.name), words.map { String(TokenStore.digest($0).prefix(Self.length)) })
    ) { $1 }
  }

  /// All marks as one text.
  package var text: String { marks.values.sorted().joined() }

  /// Those of these accounts that are not among another replica's, by its text; in order.
  package func missing(in text: String) -> [CredentialID] {
    var known: Set<String> = []
    var rest = text[...]
    while !rest.isEmpty {
      known.insert(String(rest.prefix(Self.length)))
      rest = rest.dropFirst(Self.length)
    }
    return marks.filter { !known.contains($0.value) }.keys.sorted()
  }
}
