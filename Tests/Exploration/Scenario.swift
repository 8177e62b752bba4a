import Simulation
import TokenCore

/// Where an exploration begins.
package enum Scenario: String, CaseIterable, Sendable {
  /// Nothing has ever run; each replica may start at any moment.
  case cold
  /// A token is in mid-life, and somebody has just asked for another one: the fetch that kills a
  /// token that has long to live.
  case report
  /// The same, but that it is asked for at any moment.
  case reports
  /// The token's refresh by schedule is due in a moment.
  case refresh
}

extension Setting {
  func beginning(of scenario: Scenario) -> State {
    var state = State(
      replicas: [Replica(), Replica()], redis: ModelRedis(accounts: [Self.account], parts: parts))
    guard scenario != .cold else { return state }
    start(0, &state, nil)
    runCalmly(&state, until: 3 * 1_000_000_000)
    start(1, &state, nil)
    switch scenario {
    case .cold: break
    case .report, .reports:
      runCalmly(&state, until: 700 * 1_000_000_000)
      state.requests = 1
      if scenario == .report { apply(.request(0), to: &state) }
    case .refresh:
      let refresh = Mint.lifetime - .seconds(180)
      runCalmly(&state, until: (refresh - .seconds(15)).wholeNanoseconds)
    }
    state.history = []
    return state
  }

  /// Lets everything take its course without a fault, in one order, up to an instant.
  ///
  /// What is late stays away, as do replicas that are gone or stand still.
  func runCalmly(
    _ state: inout State, until end: Instant, isEnough: (State) -> Bool = { _ in false }
  ) {
    var calm = self
    calm.faults = 0
    calm.isCalm = true
    calm.horizon = end
    var moves: [Move] = []
    while !isEnough(state) {
      calm.moves(in: state, to: &moves)
      guard let move = moves.first(where: \.isCalm) else { return }
      calm.apply(move, to: &state)
    }
  }
}

extension Move {
  /// Whether it comes about by itself.
  var isCalm: Bool {
    switch self {
    // Who has lost its connection has it again.
    case .wake, .giveUpStep, .giveUpCall, .reconnect, .carryOut, .answer, .process, .respond, .pass:
      true
    case .carryOutStray, .processStray, .start, .resume, .request, .crash, .pause, .pauseAtGate,
      .cut, .loseStep, .slowStep, .delayStep, .loseAnswer, .loseCall, .delayCall, .loseResponse,
      .failOver,
      .flush:
      false
    }
  }
}
