import Testing
import TokenCore

/// Another process of this replica's name: a predecessor that is gone, or a replica beside it.
@Suite struct NamesakeTests {
  /// What the later heartbeats hear of a process of this name, which the first one heard of.
  enum Namesake: CaseIterable {
    case predecessor, latePredecessor, another, anotherOldVersion, oneself

    func life(own: UInt64?) -> UInt64? {
      switch self {
      case .predecessor, .latePredecessor, .another: 7777
      case .anotherOldVersion: nil
      case .oneself: own
      }
    }

    var isAnother: Bool { self == .another || self == .anotherOldVersion }
  }

  @Test(arguments: Namesake.allCases)
  func `who says again that it lives is another replica, told of once and given way to`(
    namesake: Namesake
  ) throws {
    var it = Transcript()
    let instance = try #require(InstanceID("a"))
    let ordered = it.fetch()
    let order = try #require(ordered)
    var seen = it.redisTime
    var notes: [Note] = []
    for round in 0..<4 {
      let heartbeat = it.outstanding.first(where: \.isHeartbeat)
      guard case .heartbeat(let own)? = heartbeat?.command else { return }
      let replica = Replica(
        instance: instance, isLeader: false, seenAt: seen, abdicatedAt: nil,
        life: namesake.life(own: own.life))
      let actions = it.answer(heartbeat, .replicas([replica], now: it.redisTime))
      notes += actions.notes
      it.pass(.seconds(1))
      if namesake != .predecessor, namesake != .latePredecessor || round == 0 {
        seen = it.redisTime
      }
      // Whoever connects says at once that it lives.
      it.post(.storeConnected(runID: "one"))
    }
    #expect(notes.filter { $0 == .nameIsShared }.count == (namesake.isAnother ? 1 : 0))
    let refused = FetchFailure(.operator, code: 40164, reason: "refused", refusesAddress: true)
    let after = it.post(.fetched(Transcript.account, order.version, .knownFailure(refused)))
    #expect(after.notes.contains(.steppedDown(.abdicated)) == namesake.isAnother)
  }
}
