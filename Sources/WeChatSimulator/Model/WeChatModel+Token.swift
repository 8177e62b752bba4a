/// One test of a request for a credential.
public enum CredentialCheck: String, Hashable, Sendable, CaseIterable {
  case appIDPresent, grantType, secretPresent, appIDKnown, accountType, accountState, address
  case confirmation, secretState, secret, minuteQuota, dailyQuota

  /// The AppID before the secret, a missing AppID before the grant type, as observed; the rest is
  /// unconfirmed.
  public static let defaultOrder = allCases
}

/// What a request for a credential says.
struct CredentialRequest {
  var grantType: String
  var appID: String
  var secret: String
  var forced = false
}

extension WeChatModel {
  /// `GET /cgi-bin/token`: each call mints, and the token before it keeps its grace.
  mutating func token(_ request: SimulatedRequest, at now: Milliseconds) -> SimulatedAnswer {
    let wanted = CredentialRequest(
      grantType: request.item("grant_type"), appID: request.item("appid"),
      secret: request.item("secret"))
    if let refused = check(wanted, request, at: now) { return refused }
    count(request.path, of: wanted.appID, at: now)
    let record = mint(.legacy, for: wanted.appID, at: now)
    return handOut(record, minted: true, at: now)
  }

  /// `POST /cgi-bin/stable_token`: the same token until five minutes before its end, or a new one
  /// by force.
  mutating func stableToken(_ request: SimulatedRequest, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard request.method == "POST" else { return refusal(43002, at: now) }
    guard !request.body.isEmpty else { return refusal(44002, at: now) }
    guard let body = JSON(parsing: request.body), case .object = body else {
      // A form instead of JSON is told that its AppID is missing.
      let isForm = !request.body.starts(with: "{".utf8) && request.body.contains(UInt8(ascii: "="))
      return refusal(isForm ? 41002 : 47001, at: now)
    }
    let wanted = CredentialRequest(
      grantType: body["grant_type"]?.string ?? "", appID: body["appid"]?.string ?? "",
      secret: body["secret"]?.string ?? "", forced: body["force_refresh"]?.bool ?? false)
    if let refused = check(wanted, request, at: now) { return refused }
    count(request.path, of: wanted.appID, at: now)
    guard let (record, minted) = stableRecord(of: wanted.appID, forced: wanted.forced, at: now)
    else { return refusal(45009, appID: wanted.appID, at: now) }
    return handOut(record, minted: minted, at: now)
  }

  /// The stable token that a call brings, and whether the call minted it; nil when the day's forced
  /// refreshes are used up.
  mutating func stableRecord(of appID: String, forced: Bool, at now: Milliseconds)
    -> (record: TokenRecord, minted: Bool)?
  {
    let current = apps[appID]?.slots[.stable]?.current.flatMap { tokens[$0] }
    guard var app = apps[appID], let current, current.verdict(at: now).isLive else {
      return (mint(.stable, for: appID, at: now), true)
    }
    let settings = app.settings
    if forced {
      if let last = app.lastForce, now - last < settings.forceSpacing { return (current, false) }
      let today = day(now)
      guard app.forces.value(on: today) < settings.dailyForceQuota else { return nil }
      app.forces.add(on: today)
      app.lastForce = now
      apps[appID] = app
      return (mint(.stable, for: appID, at: now), true)
    }
    // A life shorter than two renewal margins would be renewed on each call.
    let renewal = min(settings.stableRenewal, (current.expiresAt - current.mintedAt) / 2)
    guard current.expiresAt - now <= renewal else { return (current, false) }
    return (mint(.stable, for: appID, at: now), true)
  }

  /// `{"access_token":…,"expires_in":…}`, without an errcode.
  private func handOut(_ record: TokenRecord, minted: Bool, at now: Milliseconds)
    -> SimulatedAnswer
  {
    SimulatedAnswer(
      json: [
        "access_token": .string(record.text),
        "expires_in": .integer(max(0, (record.expiresAt - now) / 1000)),
      ], code: 0, appID: record.appID, token: record.text, minted: minted)
  }

  /// The refusal of the first check that fails; nil when all pass.
  mutating func check(
    _ wanted: CredentialRequest, _ request: SimulatedRequest, at now: Milliseconds
  ) -> SimulatedAnswer? {
    for check in checks {
      guard let code = failure(of: check, wanted, request, at: now) else { continue }
      let named = wanted.appID.isEmpty ? nil : wanted.appID
      let text: String? =
        switch code {
        case 40164: Self.addressText(request.clientAddress)
        case 45009 where request.path == "/cgi-bin/token":
          "reach max api daily quota limit, could get access_token by getStableAccessToken, "
            + "more details at https://mmbizurl.cn/s/JtxxFh33r"
        default: nil
        }
      return refusal(code, text, appID: named, at: now)
    }
    return nil
  }

  /// The message of 40164, which names the address.
  static func addressText(_ address: String) -> String {
    address.contains(":")
      ? "invalid ip \(address), not in whitelist"
      : "invalid ip \(address) ipv6 ::ffff:\(address), not in whitelist"
  }

  private func failure(
    of check: CredentialCheck, _ wanted: CredentialRequest, _ request: SimulatedRequest,
    at now: Milliseconds
  ) -> Int? {
    let app = apps[wanted.appID]
    switch check {
    case .appIDPresent: return wanted.appID.isEmpty ? 41002 : nil
    case .grantType: return wanted.grantType == "client_credential" ? nil : 40002
    case .secretPresent: return wanted.secret.isEmpty ? 41004 : nil
    case .appIDKnown: return app == nil ? 40013 : nil
    case .accountType: return app?.settings.accountType == .component ? 61024 : nil
    case .accountState:
      switch app?.settings.accountState {
      case .frozen: return 50007
      case .punished: return 50004
      case .limited: return 50002
      case .irregular: return 48004
      case .ok, nil: return nil
      }
    case .address:
      guard let allowed = app?.settings.allowedAddresses else { return nil }
      return allowed.contains(request.clientAddress) ? nil : 40164
    case .confirmation:
      switch app?.settings.confirmation {
      case .pending: return 89503
      case .refusedForAnHour: return 89507
      case .refusedForADay: return 89506
      case .notNeeded, nil: return nil
      }
    case .secretState: return app?.settings.secretState == .frozen ? 40243 : nil
    case .secret: return app?.settings.secret == wanted.secret ? nil : 40125
    case .minuteQuota:
      guard let app else { return nil }
      let used = app.usage[request.path]?.minute.value(on: minute(now)) ?? 0
      return used >= app.settings.minuteQuota ? 45011 : nil
    case .dailyQuota:
      return app != nil && isExhausted(request.path, of: wanted.appID, at: now) ? 45009 : nil
    }
  }
}
