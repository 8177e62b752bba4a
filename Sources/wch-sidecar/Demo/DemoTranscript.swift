import Glibc
import TokenCore

/// The demo as lines of text: what changed, and how everything stands every few seconds.
struct DemoTranscript {
  private var leader: String?
  private var token: String?
  private var lastState: Duration?

  /// Between two lines on how everything stands.
  private static let interval: Duration = .seconds(2)

  mutating func write(_ picture: DemoPicture, _ news: [DemoNews]) {
    if lastState == nil {
      line(
        .zero, "demo",
        "Redis on 127.0.0.1:\(picture.redisPort), a simulated WeChat, replicas"
          + " \(picture.replicas.map(\.name).joined(separator: ", "))")
    }
    for item in news { line(item.at, item.source, item.words) }
    if picture.leader != leader {
      leader = picture.leader
      line(picture.elapsed, "leader", leader.map { "\($0) has the lock" } ?? "nobody has the lock")
    }
    if picture.keys?.token.value != token {
      token = picture.keys?.token.value
      line(picture.elapsed, "token", token.map { "now \($0.shortened)" } ?? "there is none")
    }
    if let lastState, picture.elapsed < lastState + Self.interval { return }
    lastState = picture.elapsed
    line(picture.elapsed, "keys", keys(picture))
    if let others = picture.keys?.others, !others.isEmpty {
      line(picture.elapsed, "others", others.map(other).joined(separator: "  "))
    }
    line(picture.elapsed, "app", application(picture))
  }

  private func other(_ other: DemoRedis.Other) -> String {
    guard let value = other.key.value else { return "\(other.name) -" }
    let life = other.key.life.map { "\($0.components.seconds) s" } ?? "no TTL"
    return "\(other.name) \(value.shortened) (\(life))"
  }

  private func keys(_ picture: DemoPicture) -> String {
    guard let keys = picture.keys else { return "Redis does not answer" }
    func shown(_ name: String, _ key: DemoRedis.Key) -> String {
      guard let value = key.value else { return "\(name) -" }
      return "\(name) \(name == "WCH_access_token" ? value.shortened : value)"
        + " (\(key.life.map { "\($0.tenths) s" } ?? "no TTL"))"
    }
    return [
      shown("WCH_leader", keys.leader), shown("WCH_access_token", keys.token),
      shown("WCH_expires_in", keys.expiresIn),
    ].joined(separator: "  ")
  }

  private func application(_ picture: DemoPicture) -> String {
    let tally = picture.application
    return "\(tally.succeeded) of \(tally.uses) uses succeeded (\(tally.percent) %)"
  }

  private func line(_ at: Duration, _ source: String, _ words: String) {
    print("\(at.tenths.flushRight(6)) s  \(source.padded(7)) \(words)")
    fflush(nil)
  }
}
