import TokenCore

/// Numbers for what happens, so that runs which differ in anything differ in their fingerprint; a
/// text would cost more than the step itself.
func digest(of event: Keeper.Event) -> UInt64 {
  switch event {
  case .started: 1
  case .woke: 2
  case .storeConnected: 3
  case .storeDisconnected: 4
  // What is answered was digested when it was sent.
  case .stored(_, .success(let answer)): digest(of: answer) << 8
  case .stored(_, .failure): 5 << 8
  case .fetched(_, let version, .token): 6 ^ digest(of: version)
  case .fetched(_, let version, .knownFailure): 7 ^ digest(of: version)
  case .fetched(_, let version, .unknown): 8 ^ digest(of: version)
  case .hinted: 9
  case .leadershipHinted: 10
  case .probed(_, let version, let isDead, _): (isDead ? 11 : 12) ^ digest(of: version)
  case .reported: 13
  case .secretChanged: 14
  case .shutdownRequested: 15
  case .accountsChanged: 40
  }
}

/// The same for what is done about it.
func digest(of action: Keeper.Action) -> UInt64 {
  switch action {
  case .store(let command, _): digest(of: command)
  case .fetch(let order): 33 ^ digest(of: order.version)
  case .probe(let order): 34 ^ digest(of: order.version)
  case .giveBack: 35
  case .cancelFetch: 38
  case .note: 36
  case .listen, .announce: 39
  case .stop: 37
  }
}

private func digest(of version: Version) -> UInt64 {
  UInt64(bitPattern: version.epoch.rawValue << 20 ^ version.sequence << 8)
}

private func digest(of command: StoreCommand) -> UInt64 {
  switch command {
  case .pollLock: 16
  case .acquire(_, _, let floor): 17 ^ UInt64(bitPattern: floor.rawValue) << 8
  case .renew: 18
  case .release: 19
  case .look: 20
  case .takeOver(let takeOver): 21 ^ UInt64(bitPattern: takeOver.epoch.rawValue) << 8
  case .begin(let begin): 22 ^ digest(of: begin.version)
  case .resolve(let resolve): 23 ^ digest(of: resolve.version)
  case .commit(let commit): (commit.isRecommit ? 24 : 25) ^ digest(of: commit.version)
  case .republish(let republish): 26 ^ digest(of: republish.version)
  case .mark(let mark): (mark.knownFor == nil ? 27 : 28) ^ digest(of: mark.version)
  case .heartbeat: 29
  }
}

private func digest(of answer: StoreAnswer) -> UInt64 {
  switch answer {
  case .pollLock(let holder, let remaining):
    (holder == nil ? 40 : 41) ^ UInt64(bitPattern: remaining?.wholeMilliseconds ?? 0) << 8
  case .acquire(_, .acquired(let epoch)): 42 ^ UInt64(bitPattern: epoch.rawValue) << 8
  case .acquire(_, .held): 43
  case .acquire(_, .foreignApp): 54
  case .renew(_, let isOurs): isOurs ? 44 : 45
  case .release: 46
  case .look(.account(let view)), .takeOver(.account(let view)): digest(of: view)
  case .look(.refused(let refusal)), .takeOver(.refused(let refusal)),
    .begin(.refused(let refusal)), .commit(.refused(let refusal)),
    .republish(.refused(let refusal)):
    digest(of: refusal)
  case .takeOver(.fenced(let epoch)), .begin(.fenced(let epoch)), .republish(.fenced(let epoch)):
    53 ^ UInt64(bitPattern: epoch.rawValue) << 8
  case .begin(.began(let receipt)): 56 ^ UInt64(receipt.fetchesToday) << 8
  case .begin(.stale(let version)): 57 ^ digest(of: version)
  case .resolve: 58
  case .commit(.committed(let isCertain)): isCertain ? 59 : 68
  case .commit(.superseded): 60
  case .commit(.deposed): 61
  case .commit(.stale): 57
  case .republish(.republished(let wrote)): wrote ? 62 : 63
  case .mark(.marked): 64
  case .mark(.inOrder): 65
  case .mark(.settled): 67
  case .heartbeat(let replicas, _): 66 ^ UInt64(replicas.count) << 8
  }
}

private func digest(of view: AccountView) -> UInt64 {
  digest(of: view.committed ?? Version(epoch: .none, sequence: 0))
    ^ UInt64(bitPattern: view.fence.rawValue) ^ (view.doubt == nil ? 47 : 48)
    ^ (view.intent == nil ? 51 : 52) << 40
    ^ UInt64(bitPattern: view.now.milliseconds) << 8
}

private func digest(of refusal: Conflict) -> UInt64 {
  switch refusal {
  case .foreignApp: 54
  case .newerLayout: 55
  }
}
