/// A request as the simulated WeChat sees it.
public struct SimulatedRequest: Sendable {
  public var method: String
  /// The path without the query.
  public var path: String
  /// Names and values of the query, percent-decoded, in order.
  public var query: [(name: String, value: String)]
  /// Names and values of the headers.
  public var headers: [(name: String, value: String)]
  public var body: [UInt8]
  /// The address that the caller comes from.
  public var clientAddress: String
  public var isEncrypted: Bool

  /// A request from loopback.
  public init(
    method: String = "GET", path: String, query: [(name: String, value: String)] = [],
    headers: [(name: String, value: String)] = [], body: [UInt8] = [],
    clientAddress: String = "127.0.0.1", isEncrypted: Bool = false
  ) {
    self.method = method
    self.path = path
    self.query = query
    self.headers = headers
    self.body = body
    self.clientAddress = clientAddress
    self.isEncrypted = isEncrypted
  }

  /// The value of a query item; empty when it is missing.
  public func item(_ name: String) -> String { query.first { $0.name == name }?.value ?? "" }
}

/// What the simulated WeChat answers, and what it did.
public struct SimulatedAnswer: Sendable {
  public var json: JSON
  /// The errcode; 0 for success, also where the body has none.
  public var code: Int
  /// The app that the request was for, when it named one.
  public var appID: String?
  /// The token that was handed out.
  public var token: String?
  /// The ticket that was handed out.
  public var ticket: String?
  /// Whether that token was minted by this request.
  public var minted = false
  /// What the token that came with a business call was worth, whatever the answer says; nil when
  /// there was none.
  public var tokenUse: TokenUse?
}

/// The rules of WeChat's credential endpoints as a value: no sockets, no clock, and no randomness
/// but its own seeded one.
///
/// Every method takes the time of the simulated server. Times never go backwards; a smaller one
/// than before is taken as the latest seen.
public struct WeChatModel: Sendable {
  /// The apps by AppID.
  public internal(set) var apps: [String: AppState] = [:]
  /// The corporations' apps by `corpid` and `corpsecret`.
  public internal(set) var corpApps: [CorpApp.ID: CorpApp] = [:]
  /// How error messages end.
  public var messageSuffix = MessageSuffix.requestID
  /// Whether plain HTTP is refused with 43003, as the real servers do.
  public var requiresEncryption = false
  /// Added to the server's clock in `Date` and `rid`, to play a server whose clock is wrong.
  public var skew: Milliseconds = 0
  /// Whether answers carry `Date`.
  public var sendsDate = true
  /// Added to UTC to find where quota days begin (WeChat's is assumed to be 00:00 in UTC+8).
  public var dayOffset: Milliseconds = 8 * 3_600_000
  /// How long tokens are: nil draws 136 to 157 characters as the published samples have.
  public var tokenLength: Int?
  /// The order in which a credential request is judged; WeChat's own is unconfirmed.
  public var checks = CredentialCheck.defaultOrder

  var generator: SeededGenerator
  var tokens: [String: TokenRecord] = [:]
  var tokenOrder: [String] = []
  /// By corporation and path.
  var corpUsage: [String: [String: CorpUsage]] = [:]
  var pending: [ScheduledEvent] = []
  var requestLog: [RequestLogEntry] = []
  var latest: Milliseconds = .min
  private var serial = 0

  /// Tokens remembered at once; the oldest are forgotten (and then judged 40001).
  static let maxTokens = 200_000
  /// Requests kept for `rid/get`.
  static let maxRequestLog = 10_000

  /// A WeChat without apps whose draws follow from the seed.
  public init(seed: UInt64 = 1) { generator = SeededGenerator(seed: seed) }

  /// Adds the app, or replaces its settings and keeps its tokens and counters.
  public mutating func register(_ settings: AppSettings) {
    if apps[settings.appID]?.settings == nil {
      apps[settings.appID] = AppState(settings: settings)
    } else {
      apps[settings.appID]?.settings = settings
    }
  }

  /// Adds a WeCom app, or replaces its settings and keeps its token.
  public mutating func register(_ corpApp: CorpApp) {
    var corpApp = corpApp
    if let known = corpApps[corpApp.id] {
      corpApp.slot = known.slot
      corpApp.ticketUsage = known.ticketUsage
      corpApp.tickets = known.tickets
    }
    corpApps[corpApp.id] = corpApp
  }

  /// Answers one request at that time.
  public mutating func answer(_ request: SimulatedRequest, at time: Milliseconds)
    -> SimulatedAnswer
  {
    let now = settle(at: time)
    if requiresEncryption, !request.isEncrypted { return refusal(43003, at: now) }
    let answer =
      switch request.path {
      case "/cgi-bin/token": token(request, at: now)
      case "/cgi-bin/stable_token": stableToken(request, at: now)
      case "/cgi-bin/gettoken": corpToken(request, at: now)
      case "/cgi-bin/clear_quota/v2": clearQuotaWithSecret(request, at: now)
      default: business(request, at: now)
      }
    log(request, answer, at: now)
    return answer
  }

  /// What the token is worth at that time, whatever the faults of propagation say.
  public mutating func judge(_ token: String, at time: Milliseconds) -> Verdict {
    let now = settle(at: time)
    return tokens[token]?.verdict(at: now) ?? .dead(40001)
  }

  /// When the token stops working, as things are at that time; nil for one that was never minted.
  public mutating func end(of token: String, at time: Milliseconds) -> Milliseconds? {
    settle(at: time)
    return tokens[token].map { min($0.expiresAt, $0.replacedAt ?? $0.expiresAt) }
  }

  /// Whether a page that is signed with the ticket at that time is taken.
  ///
  /// A ticket is for two hours, and for ``AppSettings/ticketOverlap`` longer beside its successor.
  public mutating func accepts(ticket: String, at time: Milliseconds) -> Bool {
    let now = settle(at: time)
    if let app = apps.values.first(where: { $0.knows(ticket: ticket) }) {
      return app.accepts(ticket: ticket, at: now)
    }
    // WeCom documents no overlap of tickets.
    return corpApps.values.contains { app in
      app.tickets.values.contains { $0.text == ticket && now < $0.expiresAt }
    }
  }

  /// The newest token of the app; nil when it has none.
  public func newestToken(of appID: String, kind: TokenKind) -> String? {
    apps[appID]?.slots[kind]?.current
  }

  /// Applies what was scheduled up to that time, and returns the time that the model goes by.
  @discardableResult
  public mutating func settle(at time: Milliseconds) -> Milliseconds {
    while let next = pending.first, next.time <= time {
      pending.removeFirst()
      latest = max(latest, next.time)
      switch next.occurrence {
      case .event(let event, let appID): apply(event, to: appID, at: latest)
      case .tokenKill(let id): killToken(of: id, at: latest)
      }
    }
    latest = max(latest, time)
    return latest
  }
}

// MARK: - Tokens

extension WeChatModel {
  /// A fresh token for the app, current from now on; its predecessor keeps its grace.
  mutating func mint(_ kind: TokenKind, for appID: String, at now: Milliseconds) -> TokenRecord {
    guard var app = apps[appID] else { preconditionFailure("Minting needs a registered app") }
    let settings = app.settings
    let life = settings.shortestLife.map {
      Int64.random(in: min($0, settings.life)...settings.life, using: &generator)
    }
    let record = TokenRecord(
      text: tokenText(at: now), appID: appID, kind: kind, mintedAt: now,
      expiresAt: now + (life ?? settings.life))
    var slot = app.slots[kind] ?? TokenSlot()
    if let old = slot.current {
      replace(old, at: now + settings.grace)
      slot.previous.insert(old, at: 0)
    }
    while slot.previous.count > max(0, settings.maxOldTokens) {
      replace(slot.previous.removeLast(), at: now)
    }
    slot.current = record.text
    app.slots[kind] = slot
    app.mints += 1
    apps[appID] = app
    remember(record)
    return record
  }

  /// Ends a token's life at that time unless it ends sooner.
  mutating func replace(_ token: String, at end: Milliseconds) {
    guard let record = tokens[token] else { return }
    tokens[token]?.replacedAt = min(record.replacedAt ?? end, end)
  }

  mutating func remember(_ record: TokenRecord) {
    tokens[record.text] = record
    tokenOrder.append(record.text)
    guard tokenOrder.count > Self.maxTokens else { return }
    // A tenth at once, so that the array is shifted seldom.
    for text in tokenOrder.prefix(Self.maxTokens / 10) { tokens[text] = nil }
    tokenOrder.removeFirst(Self.maxTokens / 10)
  }

  /// `NN_` and base64url, 136 to 157 characters as the published samples; NN grows over days.
  mutating func tokenText(at now: Milliseconds) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    let length = tokenLength ?? Int.random(in: 136...157, using: &generator)
    serial += 1
    // The serial number makes each text unique, whatever is drawn.
    var text = "\(10 + now.flooredQuotient(by: 86_400_000) / 30 % 90)_"
    text += String(serial, radix: 36) + "-"
    while text.utf8.count < length {
      text.append(alphabet[Int.random(in: 0..<64, using: &generator)])
    }
    return text
  }
}

// MARK: - The wire form of answers

extension WeChatModel {
  /// An error answer with its message, in the form that is set.
  mutating func refusal(
    _ code: Int, _ text: String? = nil, appID: String? = nil, at now: Milliseconds
  ) -> SimulatedAnswer {
    SimulatedAnswer(
      json: [
        "errcode": .integer(Int64(code)),
        "errmsg": .string((text ?? errorText(code)) + suffix(code, at: now)),
      ], code: code, appID: appID)
  }

  /// An answer with an errcode of 0 and more members.
  func success(_ members: [(String, JSON)] = [], appID: String?) -> SimulatedAnswer {
    SimulatedAnswer(
      json: .object([("errcode", 0), ("errmsg", "ok")] + members), code: 0, appID: appID)
  }

  /// The end of an error message; `system error` has none.
  private mutating func suffix(_ code: Int, at now: Milliseconds) -> String {
    guard code != -1, code != 45011 else { return "" }
    switch messageSuffix {
    case .requestID: return (hasComma(code) ? ", rid: " : " rid: ") + requestID(at: now)
    case .requestIDAfterComma: return ", rid: " + requestID(at: now)
    case .hint: return " hint: [\(hexadecimal(generator.next(), digits: 14))]"
    case .hints: return " hints: [ req_id: \(hexadecimal(generator.next(), digits: 14)) ]"
    }
  }

  /// `<Unix second>-<random>-<random>`, each of eight hexadecimal digits.
  mutating func requestID(at now: Milliseconds) -> String {
    let second = UInt64(bitPattern: (now + skew).flooredQuotient(by: 1000)) & 0xffff_ffff
    let random = generator.next()
    return [second, random >> 32, random & 0xffff_ffff].map { hexadecimal($0, digits: 8) }
      .joined(separator: "-")
  }
}
