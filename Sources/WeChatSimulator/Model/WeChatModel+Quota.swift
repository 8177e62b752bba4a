/// One request that `rid/get` can tell of.
struct RequestLogEntry: Sendable {
  let requestID: String
  let appID: String
  let time: Milliseconds
  let url: String
  let body: String
  let answer: String
  let clientAddress: String
}

extension WeChatModel {
  /// The paths that have a daily limit of their own.
  static let limitedPaths: Set = [
    "/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/ticket/getticket",
    "/cgi-bin/get_api_domain_ip", "/cgi-bin/getcallbackip",
  ]

  /// Paths counted at once for one app or corporation: more than there are APIs.
  ///
  /// Calls of others are not counted.
  static let maxCountedPaths = 2000

  /// The number of the quota day.
  func day(_ now: Milliseconds) -> Int64 { (now + dayOffset).flooredQuotient(by: 86_400_000) }

  /// The number of the minute.
  func minute(_ now: Milliseconds) -> Int64 { now.flooredQuotient(by: 60_000) }

  /// How many calls of the path the app may make in a day.
  func dailyQuota(of path: String, _ settings: AppSettings) -> Int {
    switch path {
    case "/cgi-bin/token":
      settings.accountType == .testAccount
        ? min(200, settings.dailyTokenQuota) : settings.dailyTokenQuota
    case "/cgi-bin/stable_token": settings.dailyStableQuota
    case "/cgi-bin/ticket/getticket": settings.dailyTicketQuota
    case "/cgi-bin/get_api_domain_ip", "/cgi-bin/getcallbackip": settings.dailyAddressQuota
    default: 100_000
    }
  }

  /// Whether the app has made all calls of the path that the day allows.
  func isExhausted(_ path: String, of appID: String, at now: Milliseconds) -> Bool {
    guard let app = apps[appID] else { return false }
    return (app.usage[path]?.day.value(on: day(now)) ?? 0) >= dailyQuota(of: path, app.settings)
  }

  /// The errcode for a path that `quota/get` or `quota/clear` is asked about; nil when it is good.
  private func failure(ofQuotaPath path: String, _ settings: AppSettings) -> Int? {
    guard path.hasPrefix("/") else { return 76003 }
    guard let owners = APIFamily.owners(of: path) else { return 76021 }
    return owners.contains(settings.accountType) ? nil : 76022
  }

  /// Counts one call of the path.
  mutating func count(_ path: String, of appID: String, at now: Milliseconds) {
    guard let known = apps[appID]?.usage,
      known[path] != nil || known.count < Self.maxCountedPaths
    else { return }
    let (today, thisMinute) = (day(now), minute(now))
    apps[appID]?.usage[path, default: PathUsage()].day.add(on: today)
    apps[appID]?.usage[path, default: PathUsage()].minute.add(on: thisMinute)
  }

  /// Answers `POST /cgi-bin/openapi/quota/get`: what is left of a path's quota.
  mutating func quota(_ request: SimulatedRequest, of appID: String, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard let app = apps[appID], let path = JSON(parsing: request.body)?["cgi_path"]?.string else {
      return refusal(request.body.isEmpty ? 44002 : 47001, appID: appID, at: now)
    }
    if let code = failure(ofQuotaPath: path, app.settings) {
      return refusal(code, appID: appID, at: now)
    }
    let limit = dailyQuota(of: path, app.settings)
    let counted = app.usage[path]?.day.value(on: day(now)) ?? 0
    let used = min(limit, max(0, counted - app.settings.quotaLag))
    return success(
      [
        (
          "quota",
          [
            "daily_limit": .integer(Int64(limit)), "used": .integer(Int64(used)),
            "remain": .integer(Int64(limit - used)),
          ]
        ),
        (
          "rate_limit",
          ["call_count": .integer(Int64(app.settings.minuteQuota)), "refresh_second": 60]
        ),
        ("component_rate_limit", ["call_count": 1_050_000, "refresh_second": 60]),
      ], appID: appID)
  }

  /// `POST /cgi-bin/clear_quota`: all counters of the app, ten times a month.
  mutating func clearQuota(of appID: String, at now: Milliseconds) -> SimulatedAnswer {
    guard var app = apps[appID] else { return refusal(40013, appID: appID, at: now) }
    let month = monthNumber(now + dayOffset)
    guard app.clears.value(on: month) < app.settings.monthlyClears else {
      return refusal(48006, appID: appID, at: now)
    }
    app.clears.add(on: month)
    app.usage = [:]
    app.forces = DailyCount()
    apps[appID] = app
    return success(appID: appID)
  }

  /// `POST /cgi-bin/clear_quota/v2`: the same with AppID and AppSecret, in the body or the query.
  mutating func clearQuotaWithSecret(_ request: SimulatedRequest, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard request.method == "POST" else { return refusal(43002, at: now) }
    let body = JSON(parsing: request.body)
    let appID = body?["appid"]?.string ?? request.item("appid")
    let secret = body?["appsecret"]?.string ?? request.item("appsecret")
    guard !appID.isEmpty else { return refusal(41002, at: now) }
    guard !secret.isEmpty else { return refusal(41004, appID: appID, at: now) }
    guard let app = apps[appID] else { return refusal(40013, appID: appID, at: now) }
    guard app.settings.secret == secret else { return refusal(40125, appID: appID, at: now) }
    return clearQuota(of: appID, at: now)
  }

  /// `POST /cgi-bin/openapi/quota/clear`: one path's counters.
  mutating func clearPathQuota(_ request: SimulatedRequest, of appID: String, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard var app = apps[appID], let path = JSON(parsing: request.body)?["cgi_path"]?.string else {
      return refusal(request.body.isEmpty ? 44002 : 47001, appID: appID, at: now)
    }
    if let code = failure(ofQuotaPath: path, app.settings) {
      return refusal(code, appID: appID, at: now)
    }
    let month = monthNumber(now + dayOffset)
    guard app.pathClears.value(on: month) < app.settings.monthlyPathClears else {
      return refusal(48006, appID: appID, at: now)
    }
    app.pathClears.add(on: month)
    app.usage[path] = nil
    apps[appID] = app
    return success(appID: appID)
  }

  /// `POST /cgi-bin/openapi/rid/get`: one failed request of the last seven days.
  mutating func requestDetails(_ request: SimulatedRequest, of appID: String, at now: Milliseconds)
    -> SimulatedAnswer
  {
    guard let rid = JSON(parsing: request.body)?["rid"]?.string, rid.utf8.count == 26 else {
      return refusal(76003, appID: appID, at: now)
    }
    let week: Milliseconds = 7 * 86_400_000
    guard
      let entry = requestLog.last(where: { $0.requestID == rid }), now - entry.time <= week
    else { return refusal(76001, appID: appID, at: now) }
    guard entry.appID == appID else { return refusal(76002, appID: appID, at: now) }
    return success(
      [
        (
          "request",
          [
            "invoke_time": .integer(entry.time / 1000), "cost_in_ms": 30,
            "request_url": .string(entry.url), "request_body": .string(entry.body),
            "response_body": .string(entry.answer), "client_ip": .string(entry.clientAddress),
          ]
        )
      ], appID: appID)
  }

  /// Keeps a refused request for `rid/get`, without the values of its query.
  mutating func log(_ request: SimulatedRequest, _ answer: SimulatedAnswer, at now: Milliseconds) {
    guard let message = answer.json["errmsg"]?.string,
      let marker = message.lastIndex(of: " "), message.contains("rid: ")
    else { return }
    if requestLog.count >= Self.maxRequestLog { requestLog.removeFirst(Self.maxRequestLog / 10) }
    requestLog.append(
      RequestLogEntry(
        requestID: String(message[message.index(after: marker)...]), appID: answer.appID ?? "",
        time: now, url: request.path, body: "", answer: answer.json.compact,
        clientAddress: request.clientAddress))
  }
}
