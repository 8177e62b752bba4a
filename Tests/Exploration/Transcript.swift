import Simulation
import TokenCore

/// What happens, a line each, with short names for epochs and times from the beginning.
struct Transcript {
  private(set) var lines: [String] = []
  private var epochs: [(long: String, short: String)] = []
  private var beganAt: Instant = 0

  mutating func begin(_ state: State) {
    beganAt = state.now
    noteEpoch(of: state)
    let account = state.redis.data.accounts[0]
    guard let token = account.token?.text, let end = account.token?.expiresAt else { return }
    lines.append(
      shortened(
        "at first: \(token) for \(end - state.redisTime), the lock is "
          + "\(state.redis.data.lock?.holder.prefix(2) ?? "free")"))
  }

  mutating func add(_ move: Move, _ setting: Setting, _ state: inout State) {
    var told: [String] = []
    setting.apply(move, to: &state) { told.append($0) }
    noteEpoch(of: state)
    let seconds = Double((state.now - beganAt) / 1_000_000) / 1000
    if told.isEmpty, case .pass = move { told = ["time passes"] }
    if told.isEmpty { told = ["\(move)"] }
    for (index, line) in told.enumerated() {
      lines.append((index == 0 ? "\(seconds)s " : "    ") + shortened(line))
    }
  }

  mutating func end(_ violation: Violation) { lines.append("broken: " + shortened("\(violation)")) }

  private mutating func noteEpoch(of state: State) {
    guard let epoch = state.redis.data.epoch?.epoch, epoch > .none,
      !epochs.contains(where: { $0.long == "\(epoch)" })
    else { return }
    epochs.append(("\(epoch)", "e\(epochs.count + 1)"))
  }

  private func shortened(_ line: String) -> String {
    var line = line
    for epoch in epochs { line = line.replacing(epoch.long, with: epoch.short) }
    return line
  }
}
