import TokenCore

/// The live view's picture as lines of text; it knows nothing of terminals but their size.
struct DemoScreen {
  enum Style {
    case plain, strong, faint, good, bad, warning
  }

  /// A piece of a line.
  struct Span {
    let text: String
    let style: Style

    init(_ text: String, _ style: Style = .plain) {
      self.text = text
      self.style = style
    }
  }

  typealias Line = [Span]

  private var events: [DemoNews] = []

  /// No terminal shows more.
  private static let mostEvents = 200

  /// Takes in what happened.
  mutating func add(_ news: [DemoNews]) {
    events += news
    if events.count > Self.mostEvents { events.removeFirst(events.count - Self.mostEvents) }
  }

  /// The whole screen: at most so many lines, none longer than so many columns.
  ///
  /// What matters least goes first when there is little room: events, then keys.
  func lines(_ picture: DemoPicture, columns: Int, rows: Int) -> [Line] {
    let isRoomy = rows >= 20
    let gap: [Line] = isRoomy ? [[]] : []
    var lines = [title(picture, columns)] + gap
    lines += application(picture) + gap
    lines += replicas(picture) + gap
    lines += keys(picture) + gap
    let room = rows - lines.count - 2
    if room > 0 {
      lines.append([Span("events", .faint)])
      lines += events.suffix(room).map(event)
      lines += Array(repeating: [], count: max(0, rows - lines.count - 1))
    }
    let all = lines.prefix(max(0, rows - 1)) + [help(picture)]
    return all.map { Self.cut($0, to: columns) }
  }

  // MARK: Parts

  private func title(_ picture: DemoPicture, _ columns: Int) -> Line {
    let name = "wch-sidecar demo"
    let weChat = picture.isWeChatBroken ? "WeChat broken" : "WeChat works"
    let seconds = picture.elapsed.components.seconds
    let clock = "\(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60)"
    let rest = "redis 127.0.0.1:\(picture.redisPort)   "
    let space = max(1, columns - name.count - rest.count - weChat.count - clock.count - 3)
    return [
      Span(name, .strong), Span(String(repeating: " ", count: space) + rest, .faint),
      Span(weChat, picture.isWeChatBroken ? .bad : .good), Span("   " + clock, .faint),
    ]
  }

  private func application(_ picture: DemoPicture) -> [Line] {
    let tally = picture.application
    var second = "\(tally.afterWaiting) waited for it, \(tally.failed) failed"
    if tally.unavailable > 0 {
      second += ", \(tally.unavailable) had none while WeChat was broken"
    }
    second += "; WeChat was asked for \(picture.fetches) tokens"
    return [
      [
        Span("application  "), Span("\(tally.percent) %", tally.failed == 0 ? .good : .bad),
        Span("   \(tally.succeeded) of \(tally.uses) uses had a live token"),
      ],
      [Span("             " + second, .faint)],
    ]
  }

  private func replicas(_ picture: DemoPicture) -> [Line] {
    [[Span("replica  process  state    last words", .faint)]]
      + picture.replicas.map { replica in
        let style: Style =
          switch replica.state {
          case .leads: .good
          case .follows: .plain
          case .paused: .warning
          case .gone: .bad
          }
        return [
          Span(replica.name.padded(9), replica.state == .leads ? .strong : .plain),
          Span((replica.id.map { "\($0)" } ?? "-").padded(9)),
          Span(replica.state.rawValue.padded(9), style), Span(replica.lastWords, .faint),
        ]
      }
  }

  private func keys(_ picture: DemoPicture) -> [Line] {
    guard let keys = picture.keys else { return [[Span("Redis does not answer", .bad)]] }
    let width = keys.others.map { $0.name.count + 2 }.reduce(18, max)
    func line(_ name: String, _ value: String?, _ key: DemoRedis.Key, of life: Duration) -> Line {
      guard let value else { return [Span(name.padded(width)), Span("-", .warning)] }
      guard let left = key.life else {
        return [Span(name.padded(width) + value.padded(16)), Span("no TTL", .bad)]
      }
      let filled = max(0, min(Self.barWidth, Int(left / life * Double(Self.barWidth))))
      let bar =
        String(repeating: "#", count: filled)
        + String(repeating: ".", count: Self.barWidth - filled)
      return [
        Span(name.padded(width) + value.padded(16) + (left.tenths + " s").flushRight(8) + "  "),
        Span(bar, .faint),
      ]
    }
    let life = picture.lifetime
    return [
      [Span("key".padded(width) + "value".padded(16) + "TTL".flushRight(8), .faint)],
      line("WCH_access_token", keys.token.value?.shortened, keys.token, of: life),
      line("WCH_expires_in", keys.expiresIn.value, keys.expiresIn, of: life),
      line("WCH_leader", keys.leader.value?.leaderShortened, keys.leader, of: DemoStage.lease),
    ]
      + keys.others.map { other in
        // What does not live for seconds has two hours.
        let isShort = other.key.life.map { $0 <= life } ?? true
        return line(
          other.name, other.key.value?.shortened, other.key, of: isShort ? life : .seconds(7200))
      }
  }

  private static let barWidth = 30

  private func event(_ news: DemoNews) -> Line {
    let style: Style = news.source == "demo" ? .warning : .plain
    return [
      Span(news.at.tenths.flushRight(6) + "  ", .faint), Span(news.source.padded(7), .faint),
      Span(news.words, style),
    ]
  }

  private func help(_ picture: DemoPicture) -> Line {
    let isPaused = picture.replicas.contains { $0.state == .paused }
    let keys = [
      ("k", "kill leader"), ("p", isPaused ? "resume" : "pause"), ("w", "wipe Redis"),
      ("b", picture.isWeChatBroken ? "mend WeChat" : "break WeChat"), ("r", "revoke"),
      ("s", "start"), ("q", "quit"),
    ]
    return keys.flatMap { [Span($0.0, .strong), Span(" \($0.1)  ")] }
  }

  private static func cut(_ line: Line, to columns: Int) -> Line {
    var room = columns
    return line.map { span in
      let text = String(span.text.prefix(max(0, room)))
      room -= text.count
      return Span(text, span.style)
    }
  }
}

extension String {
  /// A lock's value: the instance, and the first characters of its term.
  fileprivate var leaderShortened: String {
    guard let colon = firstIndex(of: ":") else { return shortened }
    return self[...colon] + String(self[index(after: colon)...]).shortened
  }
}
