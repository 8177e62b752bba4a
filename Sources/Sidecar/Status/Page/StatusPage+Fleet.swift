import RedisClient
import TokenCore

extension StatusPage {
  // MARK: Replicas

  /// This replica and the others, as they said last.
  var fleet: HTML {
    HTML(.section, ["id": "fleet", "aria-labelledby": "fleet-title"]) {
      HTML(.h2, ["id": "fleet-title"]) {
        text("Replicas", "副本")
        HTML(.span, ["class": "number"]) { " \(snapshot.others.count + 1)" }
      }
      HTML(.p, ["class": "leader"]) {
        snapshot.leader.map { name in
          snapshot.role == .isolated
            ? text("\(name) led when Redis was seen last.", "最后一次连上 Redis 时的主控：\(name)")
            : text("\(name) leads.", "主控：\(name)")
        } ?? text("Nobody leads.", "目前没有主控。")
      }
      HTML(.ul, ["class": "replicas"]) {
        replica(
          snapshot.instance, isLeader: snapshot.role == .leader,
          role: text.role(snapshot.role), version: snapshot.version,
          seen: HTML(text("this replica", "本副本")),
          sees: snapshot.conditions.filter { $0.observer == nil }, isSilent: false)
        for other in snapshot.others { heard(other) }
      }
    }
  }

  private func heard(_ other: Observation.Heard) -> HTML {
    let isSilent = other.age >= Assessment.silence
    let seenAt = Timestamp(
      milliseconds: snapshot.now.milliseconds - other.age.wholeMilliseconds)
    return replica(
      // Who led when it was heard last need not lead any more.
      other.instance, isLeader: other.instance == snapshot.leader && !isSilent,
      role: isSilent
        ? text("silent", "无响应")
        : text.role(other.instance == snapshot.leader ? .leader : .follower),
      version: other.report?.version,
      seen: HTML.joined([
        HTML(text("heard ", "")), text.ago(seenAt), HTML(text(" ago", "前报到")),
      ]), sees: other.report?.conditions, isSilent: isSilent)
  }

  private func replica(
    _ name: String, isLeader: Bool, role: String, version: String?, seen: HTML,
    sees conditions: [Condition]?, isSilent: Bool
  ) -> HTML {
    HTML(
      .li,
      ["class": isSilent ? "replica silent" : "replica", "id": "replica-\(name)"]
    ) {
      HTML(.p, ["class": "top"]) {
        HTML(.strong) { name }
        HTML(.span, ["class": isLeader ? "role leads" : "role"]) { role }
      }
      HTML(.p, ["class": "small"]) {
        seen
        version.map { " · \($0)" } ?? ""
      }
      HTML(.p, ["class": "small"]) { sight(conditions) }
    }
  }

  private func sight(_ conditions: [Condition]?) -> String {
    guard let conditions else {
      return text("says nothing of what it sees", "未报告其所见")
    }
    var told: [Condition.Kind] = []
    for condition in conditions.sorted(by: Condition.isTold)
    where !told.contains(condition.kind) {
      told.append(condition.kind)
    }
    guard !told.isEmpty else { return text("sees nothing wrong", "未发现问题") }
    return text("sees: ", "发现：")
      + told.map { kind in
        let count = Set(conditions.filter { $0.kind == kind }.compactMap(\.account)).count
        let title = kind.title(text.language)
        return count > 1 ? "\(title) (\(count))" : title
      }.joined(separator: text("; ", "；"))
  }

  // MARK: Timeline

  /// So many events are seen at once; the rest is a click away.
  private static let shownEvents = 8

  /// What happened lately, newest first.
  var timeline: HTML {
    let events = Array(snapshot.timeline.reversed())
    return HTML(.section, ["id": "timeline", "aria-labelledby": "timeline-title"]) {
      HTML(.h2, ["id": "timeline-title"]) { text("Timeline", "时间线") }
      HTML(.p, ["class": "small"]) {
        text("As this replica saw it since it started.", "本副本启动以来所见。")
      }
      if events.isEmpty {
        HTML(.p) { text("Nothing yet.", "暂无事件。") }
      } else {
        HTML(.ol, ["class": "events"]) {
          for event in events.prefix(Self.shownEvents) { line(event) }
        }
      }
      if events.count > Self.shownEvents {
        HTML(.details, ["id": "details-events"]) {
          HTML(.summary) {
            text(
              "\(events.count - Self.shownEvents) earlier events",
              "更早的 \(events.count - Self.shownEvents) 条")
          }
          HTML(.ol, ["class": "events"]) {
            for event in events.dropFirst(Self.shownEvents) { line(event) }
          }
        }
      }
    }
  }

  private func line(_ event: EventLog.Entry) -> HTML {
    HTML(.li, ["class": "event \(event.tone.rawValue)"]) {
      HTML(.span, ["class": "sign", "aria-hidden": "true"]) { event.tone.sign }
      HTML(.span, ["class": "what"]) {
        text.time(event.lastAt)
        " "
        if let account = event.account {
          HTML(.strong) { account.description }
          text.colon
        }
        event.words(text.language)
        if event.count > 1 {
          event.isOfSeveral
            ? text(", \(event.count) times, several accounts", "，多个帐号共 \(event.count) 次")
            : text(", \(event.count) times since ", "，共 \(event.count) 次，始于 ")
          if !event.isOfSeveral { text.time(event.firstAt) }
        }
        if let detail = event.detail {
          text.colon
          HTML(.span, ["class": "detail"]) { detail(text.language) }
        }
      }
    }
  }

  // MARK: Figures

  /// The five figures of the reference's page, counted by this replica.
  var figures: HTML {
    let dead = snapshot.accounts.count { !$0.hasToken }
    let shortest = snapshot.accounts.filter(\.hasToken).compactMap(\.life?.trustedUntil).min()
    return HTML(.section, ["id": "figures", "aria-labelledby": "figures-title"]) {
      HTML(.h2, ["id": "figures-title"]) { text("Figures of this replica", "本副本数据") }
      HTML(.dl, ["class": "facts"]) {
        figure(
          text("Started", "系统启动"),
          HTML.joined([
            text.time(snapshot.startedAt), HTML(text(", ", "，已运行 ")),
            text.ago(snapshot.startedAt), HTML(text(" ago", "")),
          ]))
        figure(
          text("Timer runs", "定时器执行"),
          HTML(
            snapshot.ticks == 0
              ? text("not yet", "尚未执行") : text("\(snapshot.ticks)", "\(snapshot.ticks) 次")))
        figure(
          text("Clients trust the token for", "凭证Token有效期"),
          HTML.joined([
            shortest.map { text.until($0) }
              ?? HTML(
                snapshot.shortestLife.map { text.span($0) } ?? text("no token", "没有 token")),
            snapshot.accounts.count > 1 && snapshot.shortestLife != nil
              ? HTML(text(", the shortest", "（最短）")) : .empty,
            dead > 0 && snapshot.accounts.count > 1
              ? HTML(text(", \(dead) without", "，\(dead) 个没有")) : .empty,
          ]))
        figure(
          text("Refreshes ok", "刷新Token成功"),
          HTML(text("\(snapshot.refreshesSucceeded)", "\(snapshot.refreshesSucceeded) 次")))
        figure(
          text("Refreshes failed", "刷新Token失败"),
          HTML(text("\(snapshot.refreshesFailed)", "\(snapshot.refreshesFailed) 次")))
      }
    }
  }

  private func figure(_ name: String, _ value: HTML) -> HTML {
    HTML(.div) {
      HTML(.dt) { name }
      HTML(.dd) { value }
    }
  }

  // MARK: Connections

  /// To Redis and to WeChat.
  var connections: HTML {
    HTML(.section, ["id": "connections", "aria-labelledby": "connections-title"]) {
      HTML(.h2, ["id": "connections-title"]) { text("Connections", "连接") }
      HTML(.dl, ["class": "facts"]) {
        if let endpoint = snapshot.redis.endpoint {
          figure("Redis", HTML(endpoint))
        }
        if let sentinels = snapshot.redis.sentinels { figures(sentinels) }
        if let cluster = snapshot.redis.cluster { figures(cluster) }
        for connection in snapshot.redis.connections {
          figure(connection.link.name(text.language), state(connection))
        }
        if snapshot.redis.connections.isEmpty {
          figure(
            "Redis",
            HTML(
              snapshot.redis.isConnected
                ? text("connected", "已连接") : text("not connected", "未连接")))
        }
        if let error = snapshot.redis.lastError, !snapshot.redis.isConnected {
          figure(text("Last error", "最近错误"), HTML(error))
        }
        if !snapshot.weChat.hosts.isEmpty {
          figure("WeChat", HTML(snapshot.weChat.hosts.joined(separator: text.comma)))
        }
        if let skew = snapshot.weChat.clockSkewSeconds {
          figure(
            text("WeChat's clock", "微信时钟"),
            HTML(
              skew == 0
                ? text("as this machine's", "与本机一致")
                : text(
                  "\(skew.magnitude) s \(skew > 0 ? "ahead of" : "behind") this machine's",
                  "比本机\(skew > 0 ? "快" : "慢") \(skew.magnitude) 秒")))
        }
      }
    }
  }

  private func figures(_ sentinels: SentinelState) -> HTML {
    HTML.joined(
      [
        figure(
          text("Primary", "主节点"),
          HTML.joined([
            HTML(sentinels.primary.map { "\($0)" } ?? text("not known", "未知")),
            sentinels.movedAt.map { HTML.joined([HTML(text.comma), text.since($0)]) } ?? .empty,
          ]))
      ]
        + sentinels.voices.map { voice in
          figure("\(text("Sentinel", "哨兵")) \(voice.sentinel)", HTML(said(voice)))
        })
  }

  private func figures(_ cluster: ClusterState) -> HTML {
    HTML.joined(
      cluster.nodes.map { node in
        let slots = ClusterState.list(node.slots)
        return figure(
          "\(text("Node", "节点")) \(node.address)", HTML(text("slots \(slots)", "槽位 \(slots)")))
      })
  }

  private func said(_ voice: SentinelSight.Voice) -> String {
    switch voice.answer {
    case .names(let address, _, let isDown)?:
      text("names \(address)", "给出 \(address)")
        + (isDown ? text(", and holds it to be down", "，并认为其已下线") : "")
    case nil: text("✕ did not answer in time", "✕ 未及时应答")
    case .doesNotKnow?: text("✕ does not know the name", "✕ 不认识该名称")
    case .failed(let failure)?: "✕ \(failure)"
    }
  }

  private func state(_ connection: StatusSnapshot.Connection) -> HTML {
    guard let since = connection.since else {
      return HTML(text("not needed here", "此处不需要"))
    }
    return HTML.joined([
      HTML(
        connection.isConnected ? text("connected ", "已连接，") : text("✕ away ", "✕ 断开，")),
      text.since(since),
      connection.reconnects > 0
        ? HTML(
          text(
            ", made anew \(connection.reconnects == 1 ? "once" : "\(connection.reconnects) times")",
            "，重连 \(connection.reconnects) 次"))
        : .empty,
      connection.isConnected
        ? .empty
        : connection.lastError.map { HTML("\(text.colon)\($0)") } ?? .empty,
    ])
  }
}
