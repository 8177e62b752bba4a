extension AppSettings {
  /// Sets the property of that name from its JSON form; false for an unknown name or a value that
  /// doesn't fit.
  public mutating func set(_ name: String, to value: JSON) -> Bool {
    switch name {
    case "secret": assign(value.string, to: \.secret)
    case "accountType": assign(value.string.flatMap(AccountType.init), to: \.accountType)
    case "secretState": assign(value.string.flatMap(SecretState.init), to: \.secretState)
    case "accountState": assign(value.string.flatMap(AccountState.init), to: \.accountState)
    case "confirmation":
      assign(value.string.flatMap(AdministratorConfirmation.init), to: \.confirmation)
    case "allowedAddresses":
      value.isNull
        ? assign(.some(nil), to: \.allowedAddresses)
        : assign(value.strings, to: \.allowedAddresses)
    case "unauthorizedPaths": assign(value.strings, to: \.unauthorizedPaths)
    case "life": assign(value.span, to: \.life)
    case "shortestLife":
      value.isNull ? assign(.some(nil), to: \.shortestLife) : assign(value.span, to: \.shortestLife)
    case "grace": assign(value.span, to: \.grace)
    case "stableRenewal": assign(value.span, to: \.stableRenewal)
    case "maxOldTokens": assign(value.count, to: \.maxOldTokens)
    case "forceSpacing": assign(value.span, to: \.forceSpacing)
    case "dailyTokenQuota": assign(value.count, to: \.dailyTokenQuota)
    case "dailyStableQuota": assign(value.count, to: \.dailyStableQuota)
    case "dailyForceQuota": assign(value.count, to: \.dailyForceQuota)
    case "minuteQuota": assign(value.count, to: \.minuteQuota)
    case "dailyAddressQuota": assign(value.count, to: \.dailyAddressQuota)
    case "dailyTicketQuota": assign(value.count, to: \.dailyTicketQuota)
    case "monthlyClears": assign(value.count, to: \.monthlyClears)
    case "monthlyPathClears": assign(value.count, to: \.monthlyPathClears)
    case "quotaLag": assign(value.count, to: \.quotaLag)
    case "ticketCountsDown": assign(value.bool, to: \.ticketCountsDown)
    case "ticketsOnGrid": assign(value.bool, to: \.ticketsOnGrid)
    case "ticketOverlap": assign(value.span, to: \.ticketOverlap)
    case "propagationDelay": assign(value.span, to: \.propagationDelay)
    case "propagationShare": assign(value.share, to: \.propagationShare)
    case "revivalShare": assign(value.share, to: \.revivalShare)
    case "spuriousRefusals": assign(value.count, to: \.spuriousRefusals)
    case "expiredCode": assign(value.count, to: \.expiredCode)
    default: false
    }
  }

  private mutating func assign<Value>(
    _ value: Value?, to property: WritableKeyPath<AppSettings, Value>
  ) -> Bool {
    guard let value else { return false }
    self[keyPath: property] = value
    return true
  }
}

extension CorpApp {
  /// Sets the property of that name from its JSON form; false for an unknown name or a value that
  /// doesn't fit.
  public mutating func set(_ name: String, to value: JSON) -> Bool {
    switch name {
    case "life": assign(value.span, to: \.life)
    case "whenRepeated": assign(value.string.flatMap(Repeat.init), to: \.whenRepeated)
    case "expiredCode": assign(value.count, to: \.expiredCode)
    case "trustedAddresses":
      value.isNull
        ? assign(.some(nil), to: \.trustedAddresses)
        : assign(value.strings, to: \.trustedAddresses)
    case "minuteQuota": assign(value.count, to: \.minuteQuota)
    case "hourlyQuota": assign(value.count, to: \.hourlyQuota)
    case "hourlyAppTickets": assign(value.count, to: \.hourlyAppTickets)
    case "hourlyCorpTickets": assign(value.count, to: \.hourlyCorpTickets)
    default: false
    }
  }

  private mutating func assign<Value>(
    _ value: Value?, to property: WritableKeyPath<CorpApp, Value>
  ) -> Bool {
    guard let value else { return false }
    self[keyPath: property] = value
    return true
  }
}

extension OperatorEvent {
  /// Reads an event such as `{"event":"resetSecret","secret":"…","killsTokens":false}`.
  init?(_ json: JSON) {
    switch json["event"]?.string {
    case "allowAddresses":
      guard let addresses = json["addresses"] else { return nil }
      if addresses.isNull {
        self = .allowAddresses(nil)
      } else {
        guard let strings = addresses.strings else { return nil }
        self = .allowAddresses(strings)
      }
    case "freezeSecret": self = .secretState(.frozen)
    case "unfreezeSecret": self = .secretState(.active)
    case "resetSecret":
      guard let secret = json["secret"]?.string else { return nil }
      self = .resetSecret(secret, killsTokens: json["killsTokens"]?.bool ?? false)
    case "accountState":
      guard let state = json["state"]?.string.flatMap(AppSettings.AccountState.init) else {
        return nil
      }
      self = .accountState(state)
    case "confirmation":
      guard
        let state = json["state"]?.string.flatMap(AppSettings.AdministratorConfirmation.init)
      else { return nil }
      self = .confirmation(state)
    case "killCurrentToken":
      guard let kind = TokenKind(rawValue: json["kind"]?.string ?? "legacy") else { return nil }
      self = .killCurrentToken(kind)
    case "foreignToken": self = .foreignToken
    case "foreignForce": self = .foreignForce
    case "exhaustQuota": self = .exhaustQuota(path: json["path"]?.string ?? "/cgi-bin/token")
    case "exhaustMinute": self = .exhaustMinute(path: json["path"]?.string ?? "/cgi-bin/token")
    default: return nil
    }
  }
}

extension JSON {
  /// Milliseconds that a setting may have: up to a year.
  var span: Milliseconds? {
    integer.flatMap { (0...31_536_000_000).contains($0) ? $0 : nil }
  }

  /// Milliseconds forward or back, up to a year.
  var offset: Milliseconds? {
    integer.flatMap { (-31_536_000_000...31_536_000_000).contains($0) ? $0 : nil }
  }

  /// A number of things, not negative.
  var count: Int? { integer.flatMap { $0 >= 0 ? Int(exactly: $0) : nil } }

  /// A share of 0 to 1.
  var share: Double? { number.flatMap { (0...1).contains($0) ? $0 : nil } }

  /// The elements, when this is an array of strings.
  var strings: [String]? {
    guard let array else { return nil }
    let strings = array.compactMap(\.string)
    return strings.count == array.count ? strings : nil
  }

  /// Whether this is `null`.
  var isNull: Bool {
    if case .null = self { true } else { false }
  }
}
