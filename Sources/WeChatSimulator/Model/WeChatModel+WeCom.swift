/// An app of a WeCom corporation; each has a secret and a token of its own.
public struct CorpApp: Sendable {
  /// What tells one app from another: corporations' apps have no public name.
  public struct ID: Hashable, Sendable {
    public var corpID: String
    public var secret: String

    /// The app of that corporation that has that secret.
    public init(corpID: String, secret: String) {
      self.corpID = corpID
      self.secret = secret
    }
  }

  /// What `expires_in` says when the same token is handed out again; unconfirmed.
  public enum Repeat: String, Hashable, Sendable, CaseIterable {
    case countsDown, constant, renews
  }

  public var id: ID
  /// The life of a new token in milliseconds.
  public var life: Milliseconds = 7_200_000
  public var whenRepeated = Repeat.countsDown
  /// The code of an expired token: 42001, or 40014 as often seen.
  public var expiredCode = 42001
  /// The addresses that may make business calls; nil when any may (else 60020).
  public var trustedAddresses: [String]?
  /// Calls of one API by all apps of the corporation in a minute; one more blocks it for 60 s.
  public var minuteQuota = 10_000
  /// The same in an hour; one more blocks it for 60 minutes.
  public var hourlyQuota = 150_000
  /// How often the app may ask for a ticket of one kind in an hour.
  public var hourlyAppTickets = 100
  /// How often all apps of the corporation may.
  public var hourlyCorpTickets = 400

  var slot = TokenSlot()
  var ticketUsage: [String: WindowCount] = [:]
  var tickets: [String: TicketRecord] = [:]

  /// An app in good order.
  public init(corpID: String, secret: String) { id = ID(corpID: corpID, secret: secret) }
}

/// Calls of one API by all apps of a corporation.
struct CorpUsage: Hashable, Sendable {
  var minute = WindowCount()
  var hour = WindowCount()
  /// Tickets that were handed out, where the API is one of tickets.
  var tickets = WindowCount()
  var blockedUntil: Milliseconds = .min
}

extension WeChatModel {
  /// `GET /cgi-bin/gettoken`: the same token inside its life; no overlap with the next.
  mutating func corpToken(_ request: SimulatedRequest, at now: Milliseconds) -> SimulatedAnswer {
    let (corpID, secret) = (request.item("corpid"), request.item("corpsecret"))
    guard !corpID.isEmpty else { return corpRefusal(41002, request, at: now) }
    guard !secret.isEmpty else { return corpRefusal(41004, request, at: now) }
    guard corpApps.keys.contains(where: { $0.corpID == corpID }) else {
      return corpRefusal(40013, request, at: now)
    }
    guard var app = corpApps[CorpApp.ID(corpID: corpID, secret: secret)] else {
      let isOfAnother = corpApps.keys.contains { $0.secret == secret }
      return corpRefusal(isOfAnother ? 40091 : 40001, request, appID: corpID, at: now)
    }
    if let blocked = admit(request.path, of: app, at: now) {
      return corpRefusal(blocked, request, appID: corpID, at: now)
    }
    var minted = false
    var record: TokenRecord
    if let text = app.slot.current, let current = tokens[text], current.verdict(at: now).isLive {
      record = current
      if app.whenRepeated == .renews {
        record = TokenRecord(
          text: text, appID: corpID, corpApp: app.id, kind: .weCom, mintedAt: current.mintedAt,
          expiresAt: now + app.life)
        tokens[text] = record
      }
    } else {
      record = TokenRecord(
        text: tokenText(at: now), appID: corpID, corpApp: app.id, kind: .weCom, mintedAt: now,
        expiresAt: now + app.life)
      remember(record)
      app.slot.current = record.text
      minted = true
    }
    corpApps[app.id] = app
    let remaining =
      app.whenRepeated == .constant ? app.life / 1000 : (record.expiresAt - now) / 1000
    var answer = success(
      [("access_token", .string(record.text)), ("expires_in", .integer(remaining))],
      appID: corpID)
    answer.token = record.text
    answer.minted = minted
    return answer
  }

  /// Ends the current token of a WeCom app, as the documents say may happen early.
  public mutating func killToken(of id: CorpApp.ID, at now: Milliseconds) {
    guard let token = corpApps[id]?.slot.current else { return }
    replace(token, at: now)
    corpApps[id]?.slot.current = nil
  }

  /// Ends the token that the WeCom app has at that time, or at the next call when it is past.
  public mutating func scheduleKill(of id: CorpApp.ID, at time: Milliseconds) {
    schedule(.tokenKill(id), at: time)
  }

  /// The APIs that hand out tickets: the corporation's, and the app's.
  static let corpTicketPaths: Set = ["/cgi-bin/get_jsapi_ticket", "/cgi-bin/ticket/get"]

  /// Every endpoint that takes a WeCom app's token.
  mutating func corpBusiness(
    _ request: SimulatedRequest, _ record: TokenRecord, at now: Milliseconds
  ) -> SimulatedAnswer {
    guard let id = record.corpApp, var app = corpApps[id] else {
      return corpRefusal(40014, request, appID: record.appID, at: now)
    }
    switch record.verdict(at: now) {
    case .live: break
    case .dead(42001):
      return corpRefusal(app.expiredCode, request, appID: record.appID, at: now)
    case .dead: return corpRefusal(40014, request, appID: record.appID, at: now)
    }
    if let trusted = app.trustedAddresses, !trusted.contains(request.clientAddress) {
      return corpRefusal(60020, request, appID: record.appID, at: now)
    }
    if let blocked = admit(request.path, of: app, at: now) {
      return corpRefusal(blocked, request, appID: record.appID, at: now)
    }
    guard Self.corpTicketPaths.contains(request.path) else { return success(appID: record.appID) }
    let hour = now.flooredQuotient(by: 3_600_000)
    let usedByApp = app.ticketUsage[request.path]?.value(on: hour) ?? 0
    let usedByCorp = corpUsage[id.corpID]?[request.path]?.tickets.value(on: hour) ?? 0
    guard usedByApp < app.hourlyAppTickets, usedByCorp < app.hourlyCorpTickets else {
      return corpRefusal(45009, request, appID: record.appID, at: now)
    }
    app.ticketUsage[request.path, default: WindowCount()].add(on: hour)
    corpUsage[id.corpID]?[request.path]?.tickets.add(on: hour)
    let known = app.tickets[request.path].flatMap { now < $0.expiresAt ? $0 : nil }
    let ticket =
      known
      ?? TicketRecord(text: ticketText(), mintedAt: now, expiresAt: now + 7_200_000)
    app.tickets[request.path] = ticket
    corpApps[id] = app
    var answer = success(
      [
        ("ticket", .string(ticket.text)),
        ("expires_in", .integer((ticket.expiresAt - now) / 1000)),
      ], appID: record.appID)
    answer.ticket = ticket.text
    return answer
  }

  /// Counts a call of that API by the corporation; the errcode when it is blocked, for a minute or
  /// for an hour.
  private mutating func admit(_ path: String, of app: CorpApp, at now: Milliseconds) -> Int? {
    let known = corpUsage[app.id.corpID] ?? [:]
    guard known[path] != nil || known.count < Self.maxCountedPaths else { return nil }
    var usage = known[path] ?? CorpUsage()
    defer { corpUsage[app.id.corpID, default: [:]][path] = usage }
    if now < usage.blockedUntil { return 45009 }
    let (thisMinute, hour) = (minute(now), now.flooredQuotient(by: 3_600_000))
    usage.minute.add(on: thisMinute)
    usage.hour.add(on: hour)
    if usage.hour.value(on: hour) > app.hourlyQuota {
      usage.blockedUntil = now + 3_600_000
      return 45009
    }
    if usage.minute.value(on: thisMinute) > app.minuteQuota {
      usage.blockedUntil = now + 60_000
      return 45009
    }
    return nil
  }

  /// WeCom's form: `…, hint: [<second><digits>], from ip: …, more info at …?e=…`.
  private mutating func corpRefusal(
    _ code: Int, _ request: SimulatedRequest, appID: String? = nil, at now: Milliseconds
  ) -> SimulatedAnswer {
    let text =
      switch code {
      case 40001: "invalid credential"
      case 40013: "invalid corpid"
      case 45009: "api freq out of limit"
      default: errorText(code)
      }
    let second = (now + skew).flooredQuotient(by: 1000)
    let digits = String(generator.next() % 100_000_000_000_000)
    return SimulatedAnswer(
      json: [
        "errcode": .integer(Int64(code)),
        "errmsg": .string(
          "\(text), hint: [\(second)\(digits)], from ip: \(request.clientAddress), "
            + "more info at https://open.work.weixin.qq.com/devtool/query?e=\(code)"),
      ], code: code, appID: appID)
  }
}
