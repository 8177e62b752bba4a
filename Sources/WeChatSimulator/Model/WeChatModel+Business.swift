extension WeChatModel {
  /// Every endpoint that takes an `access_token`: judges it first, then does what the path says.
  ///
  /// A path that isn't known here answers `ok`: an application's calls need only the token judged.
  mutating func business(_ request: SimulatedRequest, at now: Milliseconds) -> SimulatedAnswer {
    let token = request.item("access_token")
    guard !token.isEmpty else { return refusal(41001, at: now) }
    let record = tokens[token]
    // Judged before the call is served, which may change what the token is worth.
    let use = record?.use(at: now) ?? .dead
    var answer = serve(request, record, at: now)
    answer.token = token
    answer.tokenUse = use
    return answer
  }

  private mutating func serve(
    _ request: SimulatedRequest, _ record: TokenRecord?, at now: Milliseconds
  ) -> SimulatedAnswer {
    if let record, record.kind == .weCom { return corpBusiness(request, record, at: now) }
    if let code = businessVerdict(record, at: now) {
      return refusal(code, appID: record?.appID, at: now)
    }
    guard let record else { return refusal(40001, at: now) }
    return serve(request, of: record.appID, at: now)
  }

  private mutating func serve(_ request: SimulatedRequest, of appID: String, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard let app = apps[appID] else { return refusal(40013, appID: appID, at: now) }
    guard app.settings.mayCall(request.path) else { return refusal(48001, appID: appID, at: now) }
    if Self.limitedPaths.contains(request.path), isExhausted(request.path, of: appID, at: now) {
      return refusal(45009, appID: appID, at: now)
    }
    count(request.path, of: appID, at: now)
    switch request.path {
    case "/cgi-bin/get_api_domain_ip", "/cgi-bin/getcallbackip":
      return SimulatedAnswer(
        json: ["ip_list": ["101.89.47.18", "101.91.34.103"]], code: 0, appID: appID)
    case "/cgi-bin/ticket/getticket": return ticket(request.item("type"), of: appID, at: now)
    case "/cgi-bin/openapi/quota/get", "/cgi-bin/openapi/quota/clear",
      "/cgi-bin/openapi/rid/get", "/cgi-bin/clear_quota":
      guard request.method == "POST" else { return refusal(43002, appID: appID, at: now) }
      switch request.path {
      case "/cgi-bin/openapi/quota/get": return quota(request, of: appID, at: now)
      case "/cgi-bin/openapi/quota/clear": return clearPathQuota(request, of: appID, at: now)
      case "/cgi-bin/openapi/rid/get": return requestDetails(request, of: appID, at: now)
      default: return clearQuota(of: appID, at: now)
      }
    default: return success(appID: appID)
    }
  }

  /// The errcode for that token on one business server; nil when it is taken.
  ///
  /// Where the truth and this differ, propagation is being played.
  private mutating func businessVerdict(_ record: TokenRecord?, at now: Milliseconds) -> Int? {
    guard let record, let settings = apps[record.appID]?.settings else { return 40001 }
    switch record.verdict(at: now) {
    case .live:
      if settings.spuriousRefusals > 0 {
        apps[record.appID]?.settings.spuriousRefusals -= 1
        return 40001
      }
      let isNew = now - record.mintedAt < settings.propagationDelay
      return isNew && chance(settings.propagationShare) ? 40001 : nil
    case .dead(42001): return settings.expiredCode
    case .dead(let code): return chance(settings.revivalShare) ? nil : code
    }
  }

  private mutating func chance(_ share: Double) -> Bool {
    share > 0 && Double.random(in: 0..<1, using: &generator) < share
  }

  /// `GET /cgi-bin/ticket/getticket`: the same ticket for two hours, and always "7200" to go.
  private mutating func ticket(_ type: String, of appID: String, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard var app = apps[appID], type == "jsapi" || type == "wx_card" else {
      return refusal(40097, "invalid args", appID: appID, at: now)
    }
    let life: Milliseconds = 7_200_000
    let record: TicketRecord
    if let known = app.tickets[type], now < known.expiresAt {
      record = known
    } else {
      let end =
        app.settings.ticketsOnGrid ? (now.flooredQuotient(by: life) + 1) * life : now + life
      record = TicketRecord(text: ticketText(), mintedAt: now, expiresAt: end)
      app.replaceTicket(type, with: record)
      apps[appID] = app
    }
    let remaining = app.settings.ticketCountsDown ? (record.expiresAt - now) / 1000 : 7200
    var answer = success(
      [("ticket", .string(record.text)), ("expires_in", .integer(remaining))], appID: appID)
    answer.ticket = record.text
    return answer
  }

  /// `bxLd…`, 86 characters.
  mutating func ticketText() -> String {
    var text = "bxLdikRXVbTPdHSM05e5u"
    while text.utf8.count < 86 { text += hexadecimal(generator.next(), digits: 16) }
    return String(text.prefix(86))
  }
}
