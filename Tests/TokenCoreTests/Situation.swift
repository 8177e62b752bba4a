@testable import TokenCore

/// A state of a keeper, and the way into it.
enum Situation: String, CaseIterable, Sendable {
  // The lock is another's, or nobody's.
  case idle, following, followingSent, disconnected, polling, acquiring, uncertain, heldBack
  case refused
  // It is ours.
  case takingOver, takingOverDue, holding, looking, renewing, republishing, republishingDue
  case recommitting, recommittingDue, beginning, beginningDue, ready, fetching, committing
  case committingDue, cutOff, resolving, resolvingDue, backingOff
  // The token is in doubt.
  case asking, doubted, askingAgain, overtaken, heldUp
  // What Redis states is less than what WeChat promised.
  case seeingDoubt, doubting, unresolved
  // Something is owed.
  case owing, owingDue, owingTwice
  // It is over.
  case ending, endingOwing, endingCutOff, releasing, releasingClaim, stopped

  func reached() -> Transcript {
    var it = Transcript(probe: Situation.probe)
    switch self {
    case .idle: break
    case .following, .followingSent, .disconnected, .seeingDoubt:
      it.post(.started)
      let looks = it.post(.storeConnected(runID: "one"))
      it.answer(looks.first(where: \.isPoll), .lock(holder: "b:1", remaining: .seconds(9)))
      if self == .followingSent { break }
      var view = it.view(Situation.secret, version(9, 1))
      if self == .seeingDoubt {
        view = it.view(Situation.secret, version(9, 1), doubtedFor: .seconds(10))
      }
      it.answer(looks.first(where: \.isLook), .account(view))
      if self == .disconnected { it.post(.storeDisconnected) }
    case .polling, .acquiring, .uncertain, .refused, .releasingClaim:
      it.post(.started)
      let polling = it.post(.storeConnected(runID: "one")).first(where: \.isPoll)
      if self == .polling { break }
      let acquiring = it.answer(polling, .lock(holder: nil, remaining: nil))
      if self == .acquiring { break }
      if self == .refused {
        it.answer(acquiring.first(where: \.isAcquire), .foreignApp(remaining: .seconds(9)))
        break
      }
      it.fail(acquiring.first(where: \.isAcquire))
      if self == .releasingClaim { it.post(.shutdownRequested) }
    case .heldBack:
      let order = it.fetch()
      guard let other = InstanceID("b") else { break }
      let replica = Replica(
        instance: other, isLeader: false, seenAt: it.redisTime, abdicatedAt: nil)
      it.answer(
        it.outstanding.first(where: \.isHeartbeat), .replicas([replica], now: it.redisTime))
      let refused = FetchFailure(.operator, code: 40164, reason: "refused", refusesAddress: true)
      it.post(.fetched(Transcript.account, order?.version ?? version(0, 0), .knownFailure(refused)))
    case .takingOver: _ = it.lead()
    case .takingOverDue: it.fail(it.lead())
    case .holding: it.publish(token: Situation.secret)
    case .looking:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      it.post(.hinted(nil))
    case .renewing:
      it.publish(token: Situation.secret)
      it.pass(Timing().renew)
      it.post(.woke)
      it.answer(it.outstanding.first(where: \.isLook), .account(it.published(Situation.secret)))
    case .republishing, .republishingDue:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      var view = it.published(Situation.secret)
      view.token = nil
      let publishing = it.look(view).first(where: \.isRepublish)
      if self == .republishingDue { it.fail(publishing) }
    case .recommitting, .recommittingDue:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      let committing = it.look(it.view("secret of old", version(3, 1))).first(where: \.isCommit)
      if self == .recommittingDue { it.fail(committing) }
    case .beginning, .beginningDue:
      let beginning = it.answer(it.lead(), .account(it.view())).first(where: \.isBegin)
      if self == .beginningDue { it.fail(beginning) }
    case .ready:
      let beginning = it.answer(it.lead(), .account(it.view())).first(where: \.isBegin)
      // The answer comes when the lease is too short for a fetch, and BEGIN is still fresh.
      it.pass(.milliseconds(9000))
      it.fail(beginning)
      it.pass(.milliseconds(1000))
      let again = it.post(.woke).first(where: \.isBegin)
      it.answer(again, .began(it.receipt()))
    case .fetching: _ = it.fetch()
    case .committing: _ = it.commit(token: Situation.secret)
    case .committingDue: it.fail(it.commit(token: Situation.secret))
    case .cutOff:
      let committing = it.commit(token: Situation.secret)
      it.post(.storeDisconnected)
      it.fail(committing)
    case .resolving, .resolvingDue, .backingOff:
      let order = it.fetch()
      let failure = FetchFailure(.transient, reason: "nothing came")
      let fetched = it.post(
        .fetched(
          Transcript.account, order?.version ?? version(0, 0),
          self == .backingOff ? .unknown(failure) : .knownFailure(failure)))
      if self == .resolvingDue { it.fail(fetched.first(where: \.isResolve)) }
    case .asking, .doubted, .askingAgain, .overtaken:
      it.publish(token: Situation.secret)
      it.pass(Situation.probe)
      it.post(.woke)
      if self == .asking { break }
      if self == .overtaken {
        it.look(it.view("another secret", version(10, 2)))
        break
      }
      it.post(.probed(Transcript.account, version(10, 1), isDead: true, dailyLimit: nil))
      if self == .doubted { break }
      it.pass(Prober.doubt)
      it.post(.woke)
      it.answer(it.outstanding.first(where: \.isLook), .account(it.published(Situation.secret)))
    case .heldUp:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      let begun = it.post(.reported(.rejected(AccessToken(Situation.secret))))
      let fetching = it.answer(
        begun.first(where: \.isBegin), .began(it.receipt(committed: version(10, 1))))
      let committing = it.post(
        .fetched(
          Transcript.account, fetching.firstOrder?.version ?? version(0, 0),
          it.token("another secret")))
      it.committed(committing.first(where: \.isCommit), "another secret", version(10, 2))
      it.pass(.seconds(1))
      it.post(.reported(.force(Transcript.account)))
    case .doubting:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      var view = it.published(Situation.secret)
      view.doubt = Doubt(first: it.redisTime, last: it.redisTime)
      it.restate(&view)
      it.look(view)
    case .unresolved:
      let order = it.fetch()
      let failure = FetchFailure(.transient, reason: "nothing came")
      it.post(
        .fetched(Transcript.account, order?.version ?? version(0, 0), .unknown(failure)))
      it.pass(.seconds(2))
      it.post(.woke)
    case .owingTwice:
      it.publish(token: Situation.secret)
      it.pass(.seconds(1))
      let begun = it.post(.reported(.rejected(AccessToken(Situation.secret))))
      it.answer(begun.first(where: \.isBegin), .began(it.receipt(committed: version(10, 1))))
      it.pass(.seconds(20))
      it.post(.woke)
    case .owing, .owingDue, .endingOwing:
      _ = it.fetch()
      it.pass(.seconds(20))
      let marking = it.post(.woke)
      if self == .owingDue { it.fail(marking.first(where: \.isMark)) }
      if self == .endingOwing { it.post(.shutdownRequested) }
    case .ending, .endingCutOff:
      _ = it.fetch()
      if self == .endingCutOff { it.post(.storeDisconnected) }
      it.post(.shutdownRequested)
    case .releasing:
      it.publish(token: Situation.secret)
      it.post(.shutdownRequested)
      it.answer(it.post(.woke).first(where: \.isMark), .inOrder)
    case .stopped:
      it.post(.started)
      it.post(.shutdownRequested)
    }
    return it
  }

  /// What the keeper is to be found in, and perhaps in more.
  var places: Set<Place> {
    switch self {
    case .idle: [.idle, .followingDue, .disconnected]
    case .following: [.waiting, .followingDue]
    case .followingSent: [.waiting, .followingSent]
    case .disconnected: [.waiting, .followingDue, .disconnected]
    case .polling: [.polling, .followingSent]
    case .acquiring: [.acquiring, .followingSent]
    case .uncertain: [.uncertain, .followingSent]
    case .heldBack, .refused: [.heldBack]
    case .takingOver: [.leading, .takingOverSent]
    case .takingOverDue: [.leading, .takingOverDue]
    case .holding: [.leading, .holding]
    case .looking: [.leading, .looking]
    case .renewing: [.renewing, .holding]
    case .republishing: [.leading, .republishingSent]
    case .republishingDue: [.leading, .republishingDue]
    case .recommitting: [.leading, .recommittingSent]
    case .recommittingDue: [.leading, .recommittingDue]
    case .beginning: [.leading, .beginningSent]
    case .beginningDue: [.leading, .beginningDue]
    case .ready: [.renewing, .ready]
    case .fetching: [.leading, .fetching]
    case .committing: [.leading, .committingSent]
    case .committingDue: [.leading, .committingDue]
    case .cutOff: [.leading, .committingDue, .disconnected]
    case .resolving: [.leading, .resolvingSent]
    case .resolvingDue: [.leading, .resolvingDue]
    case .backingOff: [.leading, .holding, .backingOff]
    case .asking, .overtaken: [.leading, .holding, .asking]
    case .doubted: [.leading, .holding]
    case .askingAgain: [.renewing, .holding, .asking]
    case .heldUp: [.leading, .holding, .heldUp]
    case .seeingDoubt: [.waiting, .followingDue, .doubtful]
    case .doubting: [.leading, .holding, .doubtful]
    case .unresolved: [.leading, .beginningSent, .unresolved]
    case .owing: [.waiting, .debtSent, .abandoned]
    case .owingDue: [.waiting, .debtDue, .abandoned]
    case .owingTwice: [.waiting, .debtDue, .debtSent, .abandoned]
    case .ending: [.leading, .fetching, .ending]
    case .endingOwing: [.waiting, .debtSent, .ending]
    case .endingCutOff: [.leading, .fetching, .ending, .disconnected]
    case .releasing: [.waiting, .releasing]
    case .releasingClaim: [.idle, .releasing]
    case .stopped: [.idle, .stopped]
    }
  }

  /// What every token's text contains, and nothing that may be shown.
  static let secret = "secret"
  /// Soon after the lead began: before the next look and the next renewal.
  static let probe: Duration = .seconds(2)
}

/// Something that a keeper can be in; several at once.
enum Place: String, CaseIterable, Sendable {
  case idle, waiting, heldBack, polling, acquiring, uncertain, leading, renewing
  case followingDue, followingSent, takingOverDue, takingOverSent, holding, looking
  case republishingDue, republishingSent, recommittingDue, recommittingSent
  case beginningDue, beginningSent, ready, fetching, committingDue, committingSent
  case resolvingDue, resolvingSent
  case debtDue, debtSent, abandoned, asking, heldUp, backingOff, doubtful, unresolved
  case disconnected, ending, releasing, stopped
}

extension Transcript {
  /// Everything that the keeper is in.
  var places: Set<Place> {
    let account = keeper.accounts[0]
    var places: Set<Place> = [
      place(of: keeper.election), Self.place(of: account.work, account.flight),
    ]
    for debt in account.traces.debts {
      places.insert(debt.flight.sentAt == nil ? .debtDue : .debtSent)
    }
    if !account.traces.abandoned.isEmpty { places.insert(.abandoned) }
    if outstanding.has(\.isProbe) { places.insert(.asking) }
    if let asked = account.reports.asked, asked.notBefore > now { places.insert(.heldUp) }
    if let wanted = account.wanted, wanted.notBefore > now { places.insert(.backingOff) }
    if account.stated?.isDoubtful == true { places.insert(.doubtful) }
    if account.traces.unresolved != nil { places.insert(.unresolved) }
    if !keeper.storeIsConnected { places.insert(.disconnected) }
    if hasStopped {
      places.insert(.stopped)
    } else if wasToldToEnd {
      let isGivenBack = keeper.election.leadership == nil && account.traces.debts.isEmpty
      places.insert(isGivenBack ? .releasing : .ending)
    }
    return places
  }

  private func place(of election: Election) -> Place {
    switch election.state {
    case .idle: .idle
    case .following: election.heldBackUntil.map { $0 > now } ?? false ? .heldBack : .waiting
    case .polling: .polling
    case .acquiring: .acquiring
    case .uncertain: .uncertain
    case .leading(let leadership): leadership.renewal == nil ? .leading : .renewing
    }
  }

  private static func place(of work: Work, _ flight: Flight) -> Place {
    let isSent = flight.sentAt != nil
    return switch work {
    case .follow: isSent ? .followingSent : .followingDue
    case .takeOver: isSent ? .takingOverSent : .takingOverDue
    case .hold: .holding
    case .look: .looking
    case .republish: isSent ? .republishingSent : .republishingDue
    case .recommit: isSent ? .recommittingSent : .recommittingDue
    case .begin: isSent ? .beginningSent : .beginningDue
    case .waitForLease: .ready
    case .fetch: .fetching
    case .commit: isSent ? .committingSent : .committingDue
    case .resolve: isSent ? .resolvingSent : .resolvingDue
    }
  }
}
