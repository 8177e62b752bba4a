package import TokenCore

/// One line about an event, for the trace of a run; only the simulation's own tokens are in it.
package func brief(_ event: Keeper.Event) -> String {
  switch event {
  case .stored(let step, .success(let answer)): "\(step.kind) -> \(brief(answer))"
  case .stored(let step, .failure(let failure)): "\(step.kind) failed: \(failure)"
  case .fetched(_, let version, let outcome): "fetched \(version): \(brief(outcome))"
  case .started, .woke, .storeConnected, .storeDisconnected, .hinted, .leadershipHinted,
    .secretChanged, .probed, .reported, .accountsChanged, .shutdownRequested:
    "\(event)"
  }
}

private func brief(_ outcome: FetchOutcome) -> String {
  switch outcome {
  case .token(let fetched): "token \(fetched.token.revealed)"
  case .knownFailure(let failure): "failure \(failure)"
  case .unknown(let failure): "unknown \(failure)"
  }
}

/// One line about a command.
package func brief(_ command: StoreCommand) -> String {
  switch command {
  case .pollLock: "poll"
  case .acquire(let term, _, let floor):
    "acquire \(term.instance):\(term.nonce.prefix(4)) floor \(floor)"
  case .renew(let term, _): "renew \(term.instance):\(term.nonce.prefix(4))"
  case .release(let term): "release \(term.instance):\(term.nonce.prefix(4))"
  case .look: "look"
  case .takeOver(let takeOver): "takeOver \(takeOver.epoch)"
  case .begin(let begin):
    "begin \(begin.version)\(begin.hasHistory ? " history" : "")\(begin.kills ? "" : " mild")"
  case .resolve(let resolve): "resolve \(resolve.version)"
  case .commit(let commit):
    "\(commit.isRecommit ? "recommit" : "commit") \(commit.version) fence \(commit.fence) "
      + "token \(commit.token.revealed)"
  case .republish(let republish):
    "republish \(republish.version) fence \(republish.fence) token \(republish.token.revealed)"
  case .mark(let mark):
    "mark \(mark.version) \(mark.age) old, known for \(mark.knownFor.map { "\($0)" } ?? "-")"
  case .heartbeat: "heartbeat"
  }
}

/// One line about a reply.
package func brief(_ reply: StoreReply) -> String {
  if case .replicas(let replicas, _) = reply { return "\(replicas.count) replicas" }
  guard case .account(let view) = reply else { return "\(reply)" }
  return brief(view)
}

private func brief(_ answer: StoreAnswer) -> String {
  switch answer {
  case .heartbeat(let replicas, _): "\(replicas.count) replicas"
  case .look(.account(let view)), .takeOver(.account(let view)): brief(view)
  default: "\(answer)"
  }
}

private func brief(_ view: AccountView) -> String {
  let intent = view.intent.map { "\($0.version)" } ?? "-"
  let committed = view.committed.map { "\($0)" } ?? "-"
  let doubt = view.doubt.map { "\(view.now - $0.first) to \(view.now - $0.last) ago" } ?? "-"
  let left = view.statedEnd.map { "\($0 - view.now)" } ?? "-"
  return "token \(view.token?.revealed ?? "-") committed \(committed) fence \(view.fence) "
    + "intent \(intent) doubt \(doubt) left \(left) run \(view.runID ?? "-")"
}

/// One line about what is sent to one slot.
func brief(_ call: SplitStep.Call) -> String {
  switch call {
  case .step(let command): brief(command)
  case .apart(.read(let read)): "read \(read.output)"
  case .apart(.shorten(let shorten)): "shorten \(shorten.output) to \(shorten.left)"
  case .apart(.place(let place)): "place \(place.output) \(place.text) until \(place.end)"
  }
}

func brief(_ reply: SplitStep.Reply) -> String {
  switch reply {
  case .step(let reply, _): brief(reply)
  case .apart(let reply): "\(reply)"
  }
}
