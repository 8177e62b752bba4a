import Dialing
import TokenCore

/// Where accounts are asked, and for which tickets.
extension SettingsReader {
  /// Completes the accounts' addresses.
  ///
  /// - Returns: every address that is asked, at least one.
  mutating func addresses(of accounts: inout [Settings.Account]) -> [BaseURL] {
    let api = sources[.api].flatMap { API(rawValue: $0.text) } ?? .token
    let common = apiURLs(usual: api)
    completeURLs(of: &accounts, common: common)
    var all: [BaseURL] = []
    for url in accounts.flatMap(\.urls) + (accounts.isEmpty ? common ?? [] : [])
    where !all.contains(url) {
      all.append(url)
    }
    return all.isEmpty ? [BaseURL(api.usualURL)].compactMap(\.self) : all
  }

  /// The addresses of accounts that have none of their own; nil when nobody gave any.
  private mutating func apiURLs(usual api: API) -> [BaseURL]? {
    guard let given = sources[.apiUrl] else {
      show(Setting.apiUrl.name, api.usualURL, .fallback)
      return nil
    }
    return urls(given, shownAs: Setting.apiUrl.name)
  }

  /// The addresses of one account, which its entry gives; nil when it gives none.
  mutating func urls(_ given: Given?, shownAs name: String) -> [BaseURL]? {
    guard let given else { return nil }
    let shown = RedactedURL(given.text).description
    guard given.text.utf8.allSatisfy({ $0 < 0x80 }) else {
      report(
        given.origin,
        "\(quoted(shown)) has a character that is not ASCII: write an international host name in"
          + " its ASCII form, xn--…")
      return []
    }
    guard let urls = parseURLs(given.text) else {
      report(given.origin, "\(quoted(shown)) is not \(Setting.apiUrl.form)")
      return []
    }
    show(name, shown, given.origin)
    for url in urls where !url.isHTTPS && !URLHost.isLoopback(url.host) {
      warn(
        given.origin,
        "\(quoted(url.text)) is not https: the AppSecret crosses the network in clear")
    }
    weigh(apiURLs: urls, given.origin)
    return urls
  }

  /// Gives the common addresses, or the usual ones, to accounts that have none of their own.
  private mutating func completeURLs(of accounts: inout [Settings.Account], common: [BaseURL]?) {
    for index in accounts.indices where accounts[index].urls.isEmpty {
      let usual = BaseURL(accounts[index].api.usualURL).map { [$0] }
      accounts[index].urls = common ?? usual ?? []
    }
    for account in accounts {
      guard let wrong = account.urls.first(where: { $0.isOther(than: account.api) }) else {
        continue
      }
      let service = account.api.isWeCom ? "WeCom" : "WeChat"
      report(
        .combination,
        "account \(account.name) has the api \(account.api.rawValue), and \(quoted(wrong.text)) is"
          + " not \(service)'s: give it an apiUrl of its own, such as"
          + " \(account.api.usualURL), or leave it out")
    }
  }

  /// The kinds of a list of tickets, each once; what an account cannot have is a problem.
  mutating func tickets(
    _ given: Given?, of api: API, shownAs name: String
  ) -> [CredentialID.Kind] {
    guard let given else { return [] }
    let possible = api.tickets.compactMap(\.ticketName)
    let all = CredentialID.Kind.allCases.compactMap(\.ticketName)
    var kinds: [CredentialID.Kind] = []
    for item in given.text.split(separator: ",", omittingEmptySubsequences: false) {
      let word = trimmed(item)
      if let kind = api.tickets.first(where: { $0.ticketName == word }) {
        if !kinds.contains(kind) { kinds.append(kind) }
      } else if all.contains(word) {
        report(
          given.origin,
          "\(quoted(word)) is no ticket of the api \(api.rawValue), which has"
            + " \(possible.joined(separator: " and "))")
      } else {
        let nearest = nearestName(to: word, among: possible) ?? "none"
        report(
          given.origin, "\(quoted(word)) is no ticket; the nearest known one is \(nearest)")
      }
    }
    kinds.sort()
    show(name, kinds.compactMap(\.ticketName).joined(separator: ","), given.origin)
    return kinds
  }

  /// Without blanks around it.
  func trimmed(_ item: Substring) -> String {
    var item = item.drop { $0 == " " }
    while item.last == " " { item.removeLast() }
    return String(item)
  }
}

extension BaseURL {
  /// Whether this is surely the other service's: WeChat's for WeCom, or the other way round.
  fileprivate func isOther(than api: API) -> Bool {
    let isWeCom = host == "qyapi.weixin.qq.com"
    let isWeChat =
      ["api.weixin.qq.com", "api2.weixin.qq.com"].contains(host)
      || host.hasSuffix(".api.weixin.qq.com")
    return api.isWeCom ? isWeChat : isWeCom
  }
}
