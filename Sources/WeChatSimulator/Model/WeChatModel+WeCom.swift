/// An app of a WeCom corporation; each has a secret and a token of its own.
public struct CorpApp: Sendable {
  /// What tells one app from another: corporations' apps have no public name.
  public struct ID: Hashable, Sendable {
    public var corpID: String
    public var secret: String
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
  public var minuteQuota = 10_000
  public var hourlyQuota = 150_000
  /// Tickets an hour: of the app, and of the corporation.
  public var hourlyAppTickets = 100
  public var hourlyCorpTickets = 400

  var slot = TokenSlot()
  var usage = CorpUsage()
  var tickets: [String: TicketRecord] = [:]

  /// An app in good order.
  public init(corpID: String, secret: String) { id = ID(corpID: corpID, secret: secret) }
}

struct CorpUsage: Hashable, Sendable {
  var minute = WindowCount()
  var hour = WindowCount()
  var appTickets = WindowCount()
  var corpTickets = WindowCount()
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
    if let blocked = admit(&app, at: now) {
      corpApps[app.id] = app
      return corpRefusal(blocked, request, appID: corpID, at: now)
    }
    var minted = false
    var record: TokenRecord
    if let text = app.slot.current, let current = tokens[text], current.verdict(at: now).isLive {
      record = current
      if app.whenRepeated == .renews {
        record = TokenRecord(
          text: text, appID: corpID, kind: .weCom, mintedAt: current.mintedAt,
          expiresAt: now + app.life)
        tokens[text] = record
      }
    } else {
      record = TokenRecord(
        text: tokenText(at: now), appID: corpID, kind: .weCom, mintedAt: now,
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

  mutating func corpBusiness(
    _ request: SimulatedRequest, _ record: TokenRecord, at now: Milliseconds
  ) -> SimulatedAnswer {
    guard let id = corpApps.first(where: { $0.value.slot.current == record.text })?.key,
      var app = corpApps[id]
    else { return corpRefusal(40014, request, appID: record.appID, at: now) }
    switch record.verdict(at: now) {
    case .live: break
    case .dead(42001):
      return corpRefusal(app.expiredCode, request, appID: record.appID, at: now)
    case .dead: return corpRefusal(40014, request, appID: record.appID, at: now)
    }
    if let trusted = app.trustedAddresses, !trusted.contains(request.clientAddress) {
      return corpRefusal(60020, request, appID: record.appID, at: now)
    }
    let isCorpTicket = request.path == "/cgi-bin/get_jsapi_ticket"
    guard isCorpTicket || request.path == "/cgi-bin/ticket/get" else {
      return success(appID: record.appID)
    }
    let hour = now.flooredQuotient(by: 3_600_000)
    let used =
      isCorpTicket
      ? app.usage.corpTickets.value(on: hour) : app.usage.appTickets.value(on: hour)
    guard used < (isCorpTicket ? app.hourlyCorpTickets : app.hourlyAppTickets) else {
      return corpRefusal(45009, request, appID: record.appID, at: now)
    }
    if isCorpTicket {
      app.usage.corpTickets.add(on: hour)
    } else {
      app.usage.appTickets.add(on: hour)
    }
    let known = app.tickets[request.path].flatMap { now < $0.expiresAt ? $0 : nil }
    let ticket =
      known
      ?? TicketRecord(text: ticketText(), mintedAt: now, expiresAt: now + 7_200_000)
    app.tickets[request.path] = ticket
    corpApps[id] = app
    return success(
      [
        ("ticket", .string(ticket.text)),
        ("expires_in", .integer((ticket.expiresAt - now) / 1000)),
      ], appID: record.appID)
  }

  /// Counts a call; the errcode when the app is blocked, for a minute or for an hour.
  private mutating func admit(_ app: inout CorpApp, at now: Milliseconds) -> Int? {
    if now < app.usage.blockedUntil { return 45009 }
    let (thisMinute, hour) = (minute(now), now.flooredQuotient(by: 3_600_000))
    app.usage.minute.add(on: thisMinute)
    app.usage.hour.add(on: hour)
    if app.usage.hour.value(on: hour) > app.hourlyQuota {
      app.usage.blockedUntil = now + 3_600_000
      return 45009
    }
    if app.usage.minute.value(on: thisMinute) > app.minuteQuota {
      app.usage.blockedUntil = now + 60_000
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
