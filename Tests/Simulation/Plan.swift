/// What is done to a run; everything follows from the seed.
package struct Plan: Sendable {
  /// How faults come.
  package enum Profile: String, CaseIterable, Sendable {
    /// Many, at effect boundaries and in between, also at once.
    case chaos
    /// Of one to three kinds, one a minute and at effect boundaries: what never comes together
    /// among all kinds does among few.
    case storm
    /// One at a time, each long after the one before.
    case single
    /// About one fault in a quarter of an hour, as for the table of others' ways.
    case usual
    /// None at all.
    case calm
  }

  package let seed: UInt64
  package let hours: Int64
  package let replicas: Int
  package let profile: Profile
  let accounts: Int
  /// Whether accounts come and go.
  let moves: Bool
  let parts: Parts
  let lifetime: Int64
  let grace: Int64 = 300 * second
  /// Faults of this run, some more than once: the swarm's choice.
  let faults: [Fault]
  /// How likely a fault is where a fetch or a token is at stake, in a million.
  let atCriticalEffects: Int64
  /// How likely a fault is at any other effect, in a million.
  let atOrdinaryEffects: Int64
  /// The mean time between faults that come by themselves.
  let betweenFaults: Int64
  let stragglers: Int64
  let lostAnswers: Int64
  let refusals: Int64
  /// Replies and requests at Redis that are lost without any other fault, in a million.
  let lostPackets: Int64
  let lostHints: Int64
  /// Whether a command that timed out costs the connection.
  let timeoutDisconnects: Bool
  /// How often a leader proves its token alive; nil for never.
  let probe: Int64?
  /// Whether the server tells its run id.
  let tellsRunID: Bool
  /// For each account, whether a plain fetch returns the token that WeChat has (`stable_token`).
  let repeats: [Bool]
  /// Whether WeChat keeps one old token alive beside the newest, and not many.
  let keepsOneOld: Bool
  /// Whether the life that WeChat states changes from answer to answer.
  let livesChange: Bool
  /// Whether a server that has lost its replicas takes no writes after a while.
  let needsReplicas: Bool
  /// Where keys lie in several slots, at several servers; nil of one server.
  let slots: ModelRedis.Slots?
  /// How many actions in a million are never answered at all.
  let unanswered: Int64

  /// The shortest life that WeChat states.
  var shortestLife: Int64 { livesChange ? 20 * second : lifetime }

  /// The kinds that may come once a minute: all but another party's fetches, which are answered
  /// more slowly than that, so that the two do not fight the quota empty; and but machines, of
  /// which there are not so many.
  package static let stormy = Fault.allCases.filter { $0 != .foreignFetch && $0 != .hostLoss }

  /// The options with which `simulate` runs the same.
  package let arguments: [String]

  /// With `onlyFaults` there are no others, in a storm when no other profile is asked for.
  package init(
    seed: UInt64, hours: Int64 = 12, replicas: Int = 3, parts: Parts = .all,
    profile: Profile? = nil, probeSeconds: Int64? = nil, onlyFaults: [Fault]? = nil,
    moves: Bool = false, slots isCluster: Bool = false
  ) {
    var chance = SplitMix64(seed: seed &* 0x9E37_79B9 &+ 1)
    self.seed = seed
    self.replicas = replicas
    probe = probeSeconds.map { $0 * second }
    self.parts = parts
    let drawn: Profile = chance.pick([.storm, .single, .single, .chaos, .chaos, .chaos])
    self.profile = profile ?? (onlyFaults == nil ? drawn : .storm)
    let isUsual = profile == .usual || profile == .calm
    let many =
      switch isUsual ? chance.below(90) : chance.below(100) {
      case 0..<78: 1
      case 78..<95: 2
      case 95..<98: Int(chance.within(3...12))
      default: Int(chance.within(40...300))
      }
    // Who goes leaves others behind.
    accounts = moves ? many % 4 + 2 : many
    self.moves = moves
    // Of many accounts an hour is as long as a day of one.
    self.hours = accounts > 12 ? min(hours, 1) : accounts > 2 ? min(hours, 6) : hours
    lifetime =
      isUsual
      ? 7200 * second : chance.pick([7200, 7200, 7200, 7200, 3600, 1800, 600, 600, 120]) * second
    var faults = Fault.allCases.filter { $0 != .hostLoss && chance.percent(60) }
    // Nothing but the probe tells of another party's fetch.
    if probeSeconds == nil || isUsual { faults.removeAll { $0 == .foreignFetch } }
    if self.profile == .storm {
      faults = (0..<chance.within(1...3)).map { _ in chance.pick(Plan.stormy) }
    } else {
      // Where everything is decided: crashes and pauses belong to every other run.
      faults += [.crash, .pause]
    }
    // What other systems keep a token through has to be comparable.
    let unusual: Set<Fault> = [
      .refusal, .damageKeys, .outOfMemory, .request, .fork, .brownOut, .repeatedAnswer, .slowSend,
      .unanswered, .frozenClock, .foreignApp, .newerLayout,
    ]
    if isUsual { faults.removeAll { unusual.contains($0) } }
    atCriticalEffects =
      profile == .calm ? 0 : isUsual ? 20_000 : chance.pick([0, 10_000, 50_000, 150_000])
    atOrdinaryEffects = isUsual || profile == .calm ? 0 : chance.pick([0, 10, 50])
    let between = isUsual ? 15 * minute : chance.pick([5, 10, 15, 30, 60]) * minute
    betweenFaults = self.profile == .storm ? minute : between
    let isQuiet = self.profile != .chaos && self.profile != .storm
    stragglers = isQuiet ? 0 : chance.pick([0, 20_000, 100_000])
    lostAnswers = isQuiet ? 0 : chance.pick([0, 20_000, 100_000])
    refusals = isQuiet ? 0 : chance.pick([0, 10_000, 50_000])
    lostPackets = isQuiet ? 0 : chance.pick([0, 20, 500])
    lostHints = isQuiet ? 0 : chance.pick([0, 200_000, 1_000_000])
    timeoutDisconnects = chance.percent(50)
    tellsRunID = chance.percent(85)
    repeats = (0..<accounts).map { _ in !isUsual && chance.percent(20) }
    keepsOneOld = !isUsual && chance.percent(30)
    livesChange = !isUsual && chance.percent(20)
    needsReplicas = chance.percent(50)
    unanswered = isUsual || isQuiet ? 0 : chance.pick([0, 100, 1000])
    if !isUsual, self.profile != .storm, chance.percent(60) { faults.append(.hostLoss) }
    // A server that was replaced takes no writes there, or not for long.
    if isCluster {
      faults.removeAll { $0 == .fork }
      // A storm may have been of forks alone.
      if faults.isEmpty { faults = [.failOver] }
    }
    self.faults = onlyFaults ?? faults
    slots = isCluster ? ModelRedis.Slots(accounts: accounts, using: &chance) : nil
    var arguments = ["--seed", "\(seed)", "--count", "1"]
    if hours != 12 { arguments += ["--hours", "\(hours)"] }
    if replicas != 3 { arguments += ["--replicas", "\(replicas)"] }
    if let profile { arguments += ["--profile", profile.rawValue] }
    if moves { arguments.append("--moves") }
    if isCluster { arguments.append("--slots") }
    if let probeSeconds { arguments += ["--probe", "\(probeSeconds)"] }
    for fault in onlyFaults ?? [] { arguments += ["--only", fault.rawValue] }
    for part in Part.allCases where !parts.contains(Parts(part)) {
      arguments += ["--without", part.rawValue]
    }
    self.arguments = arguments
  }
}

/// What can go wrong, apart from what the network loses by itself.
package enum Fault: String, CaseIterable, Sendable {
  case crash, pause, cutRedis, cutWeChat, cutBoth, dropConnection, slowNetwork
  case restartEmpty, flush, restart, failOver, stepClock, deleteLock, evict, readOnly, stall
  case damageKeys, rollingRestart, straggler, lostAnswer, refusal, noReplicas, foreignFetch
  /// Every script begins with a write that a full server still takes, and then completes; what
  /// it refuses is to lengthen the list by which a mark and a request reach the leader.
  case outOfMemory
  /// An application or a person asks for another token, with reason or without; or the owner
  /// replaces the secret.
  case request
  /// A demoted primary goes on taking writes: the leader's side of a partition keeps it.
  case fork
  /// WeChat processes requests, and its answers are lost for every replica.
  case brownOut
  /// Something on the way answers with what WeChat answered before.
  case repeatedAnswer
  /// Requests are written seconds after the order to send them.
  case slowSend
  /// An action is never answered, by nobody.
  case unanswered
  /// A replica is stopped together with its clock, as under a hypervisor.
  case frozenClock
  /// The record in Redis is for a while another AppID's, or of a newer layout.
  case foreignApp, newerLayout
  /// A replica's machine is gone together with the primary of Redis, which was on it, too.
  case hostLoss

  /// Whether the fault is one of the server, not of one replica.
  var isOfRedis: Bool {
    switch self {
    case .restartEmpty, .flush, .restart, .failOver, .stepClock, .deleteLock, .evict, .readOnly,
      .stall, .damageKeys, .noReplicas, .outOfMemory, .fork, .foreignApp, .newerLayout:
      true
    case .crash, .pause, .cutRedis, .cutWeChat, .cutBoth, .dropConnection, .slowNetwork,
      .rollingRestart, .straggler, .lostAnswer, .refusal, .foreignFetch, .request, .brownOut,
      .repeatedAnswer, .slowSend, .unanswered, .frozenClock, .hostLoss:
      false
    }
  }
}
