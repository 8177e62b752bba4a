import TokenCore

/// What an exploration came to.
package struct Exploration: Sendable {
  package internal(set) var states = 0
  package internal(set) var transitions = 0
  /// The longest way that was gone from the beginning.
  package internal(set) var depth = 0
  /// Whether every state within the bounds but for the depth was seen.
  package internal(set) var isComplete = false
  /// The most states that waited at a time.
  package internal(set) var widest = 0
  /// States in which a stated life outlived its token until somebody told.
  package internal(set) var overstated = 0
  /// States of a token that TokenCore.md#what-is-not gives up.
  package internal(set) var holes = 0
  /// Data lost between two grants in one millisecond: what follows cannot be judged.
  package internal(set) var collisions = 0
  package internal(set) var counterexample: Counterexample?

  package struct Counterexample: Sendable {
    package let violation: Violation
    /// How many moves lead to it.
    package let length: Int
    package let transcript: [String]
  }
}

/// Goes through every order of events, breadth first, so that what it finds is found in the
/// shortest way.
package struct Explorer {
  private var setting: Setting
  private let scenario: Scenario
  private let depth: Int
  private let limit: Int
  private var visited = Visited()
  private var canon = Canon()
  /// From where, and by which of the moves there, each state was reached first.
  private var parents: [UInt32] = []
  private var places: [UInt8] = []
  private var found = Exploration()

  /// - Parameters:
  ///   - depth: so many moves at most follow each other.
  ///   - limit: so many states at most are looked at.
  package init(
    _ setting: Setting, scenario: Scenario, depth: Int = .max, limit: Int = .max
  ) {
    self.setting = setting
    self.scenario = scenario
    self.depth = depth
    self.limit = limit
  }

  /// Explores up to the bounds or the first violation; `progress` is told after each layer.
  package mutating func run(progress: ((Exploration) -> Void)? = nil) -> Exploration {
    let beginning = setting.beginning(of: scenario)
    setting.horizon = beginning.now + 3000 * 1_000_000_000
    var layer: [(state: State?, node: UInt32)] = [(beginning, .max)]
    var moves: [Move] = []
    while !layer.isEmpty, found.depth < depth {
      var next: [(state: State?, node: UInt32)] = []
      for index in layer.indices {
        guard let state = layer[index].state else { continue }
        layer[index].state = nil
        setting.moves(in: state, to: &moves)
        for (place, move) in moves.enumerated() {
          var child = state
          setting.apply(move, to: &child)
          found.transitions += 1
          if let violation = child.violation ?? judged(child) {
            found.depth += 1
            found.states = visited.count
            found.counterexample = explain(violation, layer[index].node, place)
            return found
          }
          if child.isOver {
            found.collisions += 1
            continue
          }
          guard isNew(child) else { continue }
          parents.append(layer[index].node)
          places.append(UInt8(place))
          next.append((child, UInt32(parents.count - 1)))
        }
        if parents.count >= limit {
          found.states = parents.count
          return found
        }
      }
      found.depth += 1
      found.states = parents.count
      found.widest = max(found.widest, next.count)
      layer = next
      progress?(found)
    }
    found.isComplete = layer.isEmpty
    return found
  }

  private mutating func isNew(_ state: State) -> Bool {
    // Where no fault may follow, what Redis had before decides nothing.
    guard state.faults < setting.faults else {
      return visited.enter(canon.mark(of: state, withHistory: false), faults: state.faults)
    }
    return visited.enter(canon.mark(of: state, withHistory: true), faults: state.faults)
  }

  // MARK: Invariant A

  /// Whether what Redis states outlives the token, and goes on to when all who know can tell.
  private mutating func judged(_ state: State) -> Violation? {
    guard let overstatement = setting.outlives(in: state) else { return nil }
    found.overstated += 1
    var after = state
    setting.runCalmly(&after, until: state.now + setting.tolerance.wholeNanoseconds) {
      setting.outlives(in: $0) == nil
    }
    guard setting.outlives(in: after) != nil else { return nil }
    if setting.isGivenUp(in: after) {
      found.holes += 1
      return nil
    }
    return Violation(rule: .statedLife, detail: overstatement)
  }

  // MARK: Transcripts

  private func explain(
    _ violation: Violation, _ node: UInt32, _ place: Int
  ) -> Exploration.Counterexample {
    var path = [place]
    var node = node
    while node != .max {
      path.append(Int(places[Int(node)]))
      node = parents[Int(node)]
    }
    path.reverse()
    var transcript = Transcript()
    var state = setting.beginning(of: scenario)
    transcript.begin(state)
    var moves: [Move] = []
    for place in path {
      setting.moves(in: state, to: &moves)
      transcript.add(moves[place], setting, &state)
    }
    transcript.end(violation)
    return Exploration.Counterexample(
      violation: violation, length: path.count, transcript: transcript.lines)
  }
}
