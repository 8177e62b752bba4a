import Testing

@testable import RedisClient

/// When a connection is opened, used, given up and opened again: transcripts.
@Suite("A connection that is kept")
struct ConnectionLifeTests {
  typealias Event = ConnectionLife.Event

  /// Draws the smallest number there is: a rest is half of its longest.
  private struct Least: RandomNumberGenerator {
    func next() -> UInt64 { 0 }
  }

  private static let server = RedisServerInfo(runID: "a", version: "7.0.15")
  private static let lost = RedisFailure.connectionLost(reason: "the server closed it")
  private static let refused = RedisFailure.unreachable("h:1", reason: "connection refused")
  private static let moved = RedisFailure.primaryMoved(to: "h:2")
  private static let loggedOut = RedisFailure.authenticationFailed(RedisServerError("WRONGPASS no"))
  private static let start = ContinuousClock.now

  private let server = Self.server
  private let lost = Self.lost
  private let refused = Self.refused
  private let loggedOut = Self.loggedOut

  /// A life, and what it said to the last of some events.
  private struct Told {
    var life: ConnectionLife

    init(tellsOfUnused: Bool = false, _ events: Event...) {
      life = ConnectionLife(backoff: Backoff(), tellsOfUnused: tellsOfUnused)
      for event in events { _ = self(event) }
    }

    mutating func callAsFunction(
      _ event: Event, at milliseconds: Int = 0
    ) -> [ConnectionLife.Action] {
      var least = Least()
      return life.handle(
        event, at: ConnectionLifeTests.start + .milliseconds(milliseconds), using: &least)
    }
  }

  private static func ready() -> Told {
    Told(.started, .opened, .handshakePassed(server), .judged(objection: nil))
  }

  @Test("it is opened, shaken hands over, judged, used, lost, and opened again")
  func ordinary() {
    var tell = Told()
    #expect(tell(.started) == [.open])
    #expect(tell(.opened) == [.shakeHands])
    #expect(tell(.handshakePassed(server)) == [.judge(server)])
    #expect(tell(.judged(objection: nil)) == [.tell(.connected(server))])
    #expect(tell(.ended(lost)) == [.tell(.disconnected(lost)), .rest(.milliseconds(25))])
    #expect(tell(.restPassed) == [.open])
    #expect(tell(.opened) == [.shakeHands])
  }

  @Test("rests double while attempts fail, and begin anew after a use as long as the longest")
  func backoff() {
    var tell = Told(.started)
    for rest in [25, 50, 100, 200] {
      #expect(
        tell(.openingFailed(refused)) == [
          .close(refused), .tell(.connectFailed(refused)), .rest(.milliseconds(rest)),
        ])
      #expect(tell(.restPassed) == [.open])
    }
    func use(for milliseconds: Int) -> ConnectionLife.Action? {
      _ = tell(.opened)
      _ = tell(.handshakePassed(server))
      _ = tell(.judged(objection: nil))
      defer { _ = tell(.restPassed) }
      return tell(.ended(lost), at: milliseconds).last
    }
    #expect(use(for: 1999) == .rest(.milliseconds(400)))
    #expect(use(for: 2000) == .rest(.milliseconds(25)))
    #expect(use(for: 2001) == .rest(.milliseconds(25)))
    #expect(use(for: 0) == .rest(.milliseconds(50)))
  }

  @Test("what passes only when somebody acts is tried as seldom as may be, wherever it happens")
  func needsOperator() {
    var opening = Told(.started)
    #expect(opening(.openingFailed(loggedOut)).last == .rest(.seconds(1)))
    var handshake = Told(.started, .opened)
    #expect(
      handshake(.handshakeFailed(loggedOut)) == [
        .close(loggedOut), .tell(.connectFailed(loggedOut)), .rest(.seconds(1)),
      ])
    var used = Self.ready()
    // Also after a use that has proved the connection.
    #expect(used(.ended(loggedOut), at: 5000).last == .rest(.seconds(1)))
  }

  @Test("a handshake that takes too long is closed, and fails in the words that came of that")
  func handshakeTimePasses() {
    var tell = Told(.started, .opened)
    #expect(
      tell(.handshakeTimePassed(.handshakeTimedOut("h:1"))) == [
        .close(.handshakeTimedOut("h:1"))
      ])
    let words = RedisFailure.refusedByServer(RedisServerError("DENIED"))
    #expect(
      tell(.handshakeFailed(words)) == [
        .close(words), .tell(.connectFailed(words)), .rest(.seconds(1)),
      ])
    // The time passes also for one that has failed meanwhile.
    #expect(tell(.handshakeTimePassed(.handshakeTimedOut("h:1"))) == [])
  }

  @Test("a connection that ends during the handshake counts as one that could not be made")
  func endsInHandshake() {
    var tell = Told(.started, .opened)
    #expect(
      tell(.handshakeFailed(lost)) == [
        .close(lost), .tell(.connectFailed(lost)), .rest(.milliseconds(25)),
      ])
    #expect(tell(.ended(lost)) == [])
    #expect(tell(.restPassed) == [.open])
  }

  @Test("a server that is not wanted is left, and told as one that could not be connected to")
  func objection() {
    let objection = RedisFailure.unwanted(reason: "another server")
    var tell = Told(.started, .opened, .handshakePassed(server))
    #expect(
      tell(.judged(objection: objection)) == [
        .close(objection), .tell(.connectFailed(objection)), .rest(.milliseconds(25)),
      ])
    // The end that follows of it says nothing new.
    #expect(tell(.ended(objection)) == [])
    var ended = Told(.started, .opened, .handshakePassed(server), .ended(lost))
    #expect(ended(.judged(objection: objection))[1] == .tell(.connectFailed(objection)))
  }

  @Test("one that ends between its handshake and its use was not made, or was made and lost")
  func endsUnused() {
    var commands = Told(.started, .opened, .handshakePassed(server))
    #expect(commands(.ended(lost)) == [])
    // What it ended with first counts.
    #expect(commands(.ended(refused)) == [])
    #expect(
      commands(.judged(objection: nil)) == [
        .close(lost), .tell(.connectFailed(lost)), .rest(.milliseconds(25)),
      ])
    var messages = Told(
      tellsOfUnused: true, .started, .opened, .handshakePassed(server), .ended(lost))
    #expect(
      messages(.judged(objection: nil)) == [
        .tell(.connected(server)), .tell(.disconnected(lost)), .rest(.milliseconds(25)),
      ])
  }

  @Test("another connection is wanted: this one is closed, and its end brings the next")
  func unwanted() {
    let reason = RedisFailure.unwanted(reason: "another server")
    var tell = Self.ready()
    #expect(tell(.unwanted(reason)) == [.close(reason)])
    // It ends by itself at that very moment, and is lost once.
    #expect(tell(.ended(lost)) == [.tell(.disconnected(lost)), .rest(.milliseconds(25))])
    #expect(tell(.ended(reason)) == [])
    #expect(tell(.unwanted(reason)) == [])
    #expect(tell(.restPassed) == [.open])
    #expect(tell(.unwanted(reason)) == [])
  }

  @Test("a primary that has moved is followed at once, from wherever a connection is")
  func primaryMoves() {
    let moved = Self.moved
    var used = Self.ready()
    #expect(used(.primaryMoved(moved)) == [.close(moved)])
    #expect(used(.ended(moved)) == [.tell(.disconnected(moved)), .open])
    #expect(used(.primaryMoved(moved)) == [])
    // The attempt under way ends by itself.
    #expect(
      used(.openingFailed(moved)) == [.close(moved), .tell(.connectFailed(moved)), .open])
    #expect(used(.opened) == [.shakeHands])
    #expect(
      used(.primaryMoved(moved)) == [.close(moved), .tell(.connectFailed(moved)), .open])
    #expect(used(.handshakeFailed(moved)) == [])
    var greeted = Told(.started, .opened, .handshakePassed(server))
    #expect(
      greeted(.primaryMoved(moved)) == [.close(moved), .tell(.connectFailed(moved)), .open])
    var resting = Told(.started, .openingFailed(refused))
    #expect(resting(.primaryMoved(moved)) == [.open])
    #expect(resting(.restPassed) == [])
  }

  @Test("a replica where the primary should be is asked for again in a moment, and then seldom")
  func notPrimary() {
    let replica = RedisFailure.notPrimary("h:1", role: "replica")
    var tell = Told(.started)
    for rest in [200, 200, 200, 200, 400, 800, 1000] {
      _ = tell(.opened)
      #expect(tell(.handshakeFailed(replica)).last == .rest(.milliseconds(rest)))
      _ = tell(.restPassed)
    }
  }

  @Test("who has met READONLY waits up to 200 ms longer, as all others who met it at once")
  func readOnly() {
    struct Most: RandomNumberGenerator { func next() -> UInt64 { .max } }
    let refused = RedisFailure.readOnly(RedisServerError("READONLY no"))
    var life = Self.ready().life
    var most = Most()
    guard
      case .rest(let longest)? = life.handle(.ended(refused), at: Self.start, using: &most).last
    else { return #expect(Bool(false)) }
    #expect(longest > .milliseconds(249) && longest <= .milliseconds(250))
    var least = Self.ready()
    #expect(least(.ended(refused)).last == .rest(.milliseconds(25)))
  }

  @Test("stopped in use, it tells of the end and of nothing more")
  func stopsInUse() {
    var tell = Self.ready()
    #expect(tell(.stopped) == [.close(.stopped)])
    #expect(tell(.unwanted(lost)) == [])
    #expect(tell(.ended(.stopped)) == [.tell(.disconnected(.stopped))])
    #expect(tell(.stopped) == [])
    #expect(tell(.started) == [])
  }

  @Test("stopped before it is in use, it tells of nothing, and what comes too late is closed")
  func stopsBefore() {
    var connecting = Told(.started)
    #expect(connecting(.stopped) == [.close(.stopped)])
    #expect(connecting(.openingFailed(.cancelled)) == [])
    var late = Told(.started, .stopped)
    #expect(late(.opened) == [.close(.stopped)])
    var handshaking = Told(.started, .opened)
    #expect(handshaking(.stopped) == [.close(.stopped)])
    #expect(handshaking(.handshakeFailed(.stopped)) == [])
    var greeted = Told(.started, .opened, .handshakePassed(server))
    #expect(greeted(.stopped) == [.close(.stopped)])
    #expect(greeted(.ended(.stopped)) == [])
    #expect(greeted(.judged(objection: nil)) == [])
    var resting = Told(.started, .openingFailed(refused))
    #expect(resting(.stopped) == [.close(.stopped)])
    #expect(resting(.restPassed) == [])
    var idle = Told(.stopped)
    #expect(idle(.started) == [])
  }

  // MARK: Totality

  private static let states: [String: Told] = [
    "idle": Told(),
    "connecting": Told(.started),
    "handshaking": Told(.started, .opened),
    "greeted": Told(.started, .opened, .handshakePassed(server)),
    "greeted, ended": Told(.started, .opened, .handshakePassed(server), .ended(lost)),
    "ready": ready(),
    "closing": {
      var tell = ready()
      _ = tell(.stopped)
      return tell
    }(),
    "resting": Told(.started, .openingFailed(refused)),
    "stopped": Told(.stopped),
  ]

  /// What may follow on each state, as the states' comments say.
  private static let successors: [String: Set<String>] = [
    "idle": ["connecting", "stopped"],
    "connecting": ["handshaking", "resting", "stopped"],
    "handshaking": ["greeted", "connecting", "resting", "stopped"],
    "greeted": ["greeted, ended", "ready", "connecting", "resting", "stopped"],
    "greeted, ended": ["connecting", "resting", "stopped"],
    "ready": ["connecting", "resting", "closing"],
    "closing": ["stopped"],
    "resting": ["connecting", "stopped"],
    "stopped": [],
  ]

  private static let events: [Event] = [
    .started, .opened, .openingFailed(refused), .handshakeTimePassed(.handshakeTimedOut("h:1")),
    .handshakePassed(server), .handshakeFailed(lost), .judged(objection: nil),
    .judged(objection: .unwanted(reason: "another")), .ended(lost), .ended(moved), .unwanted(lost),
    .primaryMoved(moved), .restPassed, .stopped,
  ]

  private static func name(_ state: ConnectionLife.State) -> String {
    switch state {
    case .idle: "idle"
    case .connecting: "connecting"
    case .handshaking: "handshaking"
    case .greeted(_, ended: nil): "greeted"
    case .greeted: "greeted, ended"
    case .ready: "ready"
    case .closing: "closing"
    case .resting: "resting"
    case .stopped: "stopped"
    }
  }

  @Test(
    "every event is taken in every state, and what is to be done suits where it leads",
    arguments: states.keys.sorted())
  func total(state: String) throws {
    let before = try #require(Self.states[state])
    #expect(Self.name(before.life.state) == state)
    var reached: Set<String> = []
    for event in Self.events {
      var tell = before
      let actions = tell(event)
      let after = Self.name(tell.life.state)
      if after != state { reached.insert(after) }
      for action in actions {
        switch action {
        case .open: #expect(after == "connecting", "\(event)")
        case .shakeHands: #expect(after == "handshaking", "\(event)")
        case .judge: #expect(after == "greeted", "\(event)")
        case .tell(.connected): #expect(after == "ready", "\(event)")
        case .tell(.disconnected): #expect(state == "ready" || state == "closing", "\(event)")
        case .rest: #expect(after == "resting", "\(event)")
        case .tell(.connectFailed):
          #expect(after == "resting" || after == "connecting", "\(event)")
        case .close: break
        }
        // Only a close leaves it to what follows.
        if case .close = action { continue }
        #expect(after != state, "\(event)")
      }
      // Nobody would ask for the next one else.
      if after == "resting", state != "resting" {
        #expect(actions.contains { if case .rest = $0 { true } else { false } }, "\(event)")
      }
    }
    #expect(reached == Self.successors[state])
  }

  @Test("of any two events in a row no more than one brings another connection")
  func pairs() {
    for (_, before) in Self.states {
      for first in Self.events {
        for second in Self.events {
          var tell = before
          let actions = tell(first) + tell(second)
          #expect(actions.count { $0 == .open } <= 1, "\(first), \(second)")
        }
      }
    }
  }
}
