import Simulation
import Testing
import TokenCore

/// A ticket beside the token that it is fetched with, kept for a week: real keepers on the model of
/// Redis, and a WeChat that gives the same ticket for two hours and always says 7200 s.
@Suite struct TicketWeekTests {
  @Test("a ticket is served no longer than a poll after WeChat gave out another, for few calls")
  func week() throws {
    var gate = TicketGate()
    // Seldom looked at: what a week is about does not depend on it.
    gate.timing = Timing(
      lease: .seconds(900), renew: .seconds(300), retry: .seconds(60), tick: .seconds(300))
    gate.begin()
    gate.run(for: .seconds(7 * 86_400))
    #expect(gate.longestStale <= .seconds(1200))
    #expect(gate.longestMissing == .zero)
    #expect(try #require(gate.callsADay.max()) < 150)
    #expect(gate.callsADay.count >= 7)
    // The token is fetched as if there were no ticket.
    #expect(gate.tokenFetches <= 7 * 13)
  }

  @Test("a ticket outlives half an hour without WeChat, and ends when nobody knows more")
  func outage() {
    var gate = TicketGate()
    gate.begin()
    gate.run(for: .seconds(3600))
    gate.isDown = true
    gate.run(for: .seconds(1800))
    #expect(gate.longestMissing == .zero)
    gate.run(for: .seconds(7200))
    #expect(gate.ticket == nil)
    gate.isDown = false
    gate.run(for: .seconds(120))
    #expect(gate.ticket == gate.current)
  }

  @Test("a ticket is not asked for with a token that is reported, nor before there is one")
  func suspicion() {
    var gate = TicketGate()
    gate.isDown = true
    gate.begin()
    gate.run(for: .seconds(60))
    #expect(gate.ticketCalls == 0)
    gate.isDown = false
    gate.run(for: .seconds(60))
    #expect(gate.ticketCalls == 1)
    // The doubt that the silence left is over by then.
    gate.run(for: .seconds(600))
    gate.refusals = 1
    let fetches = gate.tokenFetches
    gate.run(for: .seconds(660))
    // Its refusal is one report of the token: another token is fetched, and it is asked with that.
    #expect(gate.reports == 1)
    #expect(gate.tokenFetches == fetches + 1)
    #expect(gate.tokensUsed == ["token-1", "token-\(fetches)", "token-\(fetches + 1)"])
    #expect(gate.ticket == gate.current)
  }

  @Test("a new leader asks for the ticket once, and counts its life from when it was first seen")
  func takeOver() throws {
    var gate = TicketGate()
    gate.begin()
    gate.run(for: .seconds(5000))
    let calls = gate.ticketCalls
    gate.replaceLeader()
    gate.run(for: .seconds(60))
    #expect(gate.ticketCalls == calls + 1)
    let left = try #require(gate.clientExpiresIn)
    // Seen at the start: a life of 7200 s, of which clients are told all but the last 120 s.
    #expect(left < .seconds(7200 - 120 - 5000) && left > .seconds(7200 - 120 - 5200))
  }
}

/// The keeper, its Redis and WeChat.
private struct TicketGate {
  var timing = Timing()
  private(set) var now: Moment = .origin
  private(set) var longestStale: Duration = .zero
  private(set) var longestMissing: Duration = .zero
  private(set) var callsADay: [Int] = []
  private(set) var ticketCalls = 0
  private(set) var tokenFetches = 0
  private(set) var reports = 0
  /// Whether WeChat answers nothing.
  var isDown = false
  /// So many tickets are refused with the word that the token is dead.
  var refusals = 0
  /// Which tokens tickets were asked for with.
  private(set) var tokensUsed: [String] = []

  private static let token = CredentialID.unnamed
  private static let ticket = CredentialID(.unnamed, .jsapiTicket)
  private var redis = ModelRedis(accounts: [token, ticket])
  private var keeper: Keeper?
  private var leaders = 0
  private var staleSince: Moment?
  private var missingSince: Moment?

  /// The ticket of the day's two hours.
  var current: String { "ticket-\((now - .origin).components.seconds / 7200)" }

  private var redisTime: RedisTime {
    RedisTime(milliseconds: 1_700_000_000_000 + (now - .origin).wholeMilliseconds)
  }

  /// What Redis has.
  var ticket: String? { keys?.token?.text }
  var clientExpiresIn: Duration? {
    keys?.expiry?.text.flatMap { Int64($0) }.map {
      .milliseconds($0 * 1000 - redisTime.milliseconds)
    }
  }
  private var keys: ModelRedis.Account? {
    var redis = redis
    redis.expire(at: redisTime)
    return redis.data.accounts.first { $0.name == Self.ticket }
  }

  mutating func begin() {
    leaders += 1
    guard let instance = InstanceID("r\(leaders)") else { return }
    var ticket = Credential()
    ticket.fetch = .reads(.ticket)
    ticket.source = Self.token
    keeper = Keeper(
      instance: instance, accounts: [Self.token, Self.ticket], timing: timing,
      margins: Margins(), credentials: [Self.ticket: ticket],
      generator: SplitMix64(seed: UInt64(leaders)))
    post(.started)
    post(.storeConnected(runID: "run-1"))
  }

  /// The process ends without a word, and another one begins.
  mutating func replaceLeader() {
    keeper = nil
    redis.data.lock = nil
    begin()
  }

  mutating func run(for span: Duration) {
    let end = now + span
    while true {
      let next = max(now, min(keeper?.nextWake ?? end, end))
      observe(until: next)
      now = next
      if let wake = keeper?.nextWake, wake <= now { post(.woke) }
      if now >= end, (keeper?.nextWake ?? end + .seconds(1)) > now { return }
    }
  }

  /// What readers saw until then.
  private mutating func observe(until next: Moment) {
    let seen = ticket
    let isGood = seen == current
    if seen == nil { missingSince = missingSince ?? now } else { missingSince = nil }
    if seen != nil, !isGood { staleSince = staleSince ?? now } else { staleSince = nil }
    if let missingSince, ticketCalls > 0 {
      longestMissing = max(longestMissing, next - missingSince)
    }
    if let staleSince { longestStale = max(longestStale, next - staleSince) }
  }

  private mutating func post(_ event: Keeper.Event) {
    var events = [event]
    while !events.isEmpty {
      for action in keeper?.handle(events.removeFirst(), at: now) ?? [] {
        switch action {
        case .store(let command, let step):
          let reply = redis.execute(command, at: redisTime)
          events.append(.stored(step, Result.success(reply).answer(to: command)))
        case .fetch(let order):
          events.append(.fetched(order.account, order.version, answer(order)))
        case .note(.reported(Self.token, _)): reports += 1
        case .probe, .cancelFetch, .note, .giveBack, .listen, .announce, .stop: break
        }
      }
    }
  }

  private mutating func answer(_ order: FetchOrder) -> FetchOutcome {
    guard !isDown else {
      return .unknown(FetchFailure(.transient, reason: "nothing came", isTransport: true))
    }
    guard order.account == Self.ticket else {
      tokenFetches += 1
      return .token(
        FetchedToken(
          token: AccessToken("token-\(tokenFetches)"), lifetime: .seconds(7200), sentAt: now))
    }
    ticketCalls += 1
    let day = Int((now - .origin).components.seconds / 86_400)
    while callsADay.count <= day { callsADay.append(0) }
    callsADay[day] += 1
    tokensUsed.append(order.source?.revealed ?? "none")
    guard refusals == 0 else {
      refusals -= 1
      return .knownFailure(
        FetchFailure(.transient, code: 40001, reason: "a dead token", rejectsSource: true))
    }
    return .token(
      FetchedToken(token: AccessToken(current), lifetime: .seconds(7200), sentAt: now))
  }
}
