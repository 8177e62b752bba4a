import TokenCore

/// The status page: whether tokens live, since when not, why, and what to do; then all the rest.
///
/// It is whole without its script, which keeps it up to date in place, writes times in the reader's
/// zone and finds accounts by name.
struct StatusPage {
  let snapshot: StatusSnapshot
  let isReady: Bool
  /// The accounts whose token nobody should read here, as `/readyz` names them.
  let degraded: [AccountName]
  let text: PageText
  let verdict: Verdict

  /// How often an open page asks for its next state, in seconds.
  private static let interval = 4
  /// The same, of a page with many accounts, which is long.
  private static let longInterval = 10
  /// More accounts than these are many: they can be searched, too.
  static let many = 24

  init(
    snapshot: StatusSnapshot, language: Language, isReady: Bool, degraded: [AccountName] = []
  ) {
    self.snapshot = snapshot
    self.isReady = isReady
    self.degraded = degraded
    text = PageText(language: language, now: snapshot.now)
    verdict = Verdict(snapshot, text)
  }

  /// Whether there are many accounts.
  var isLong: Bool { snapshot.accounts.count > Self.many }

  var document: String {
    HTML(
      .html,
      [
        "lang": text.language.tag, "data-now": "\(snapshot.now.milliseconds)",
        "data-every": "\(isLong ? Self.longInterval : Self.interval)",
        "data-units": text.units, "data-form": PageAssets.form,
      ]
    ) {
      HTML(.head) {
        HTML(.meta, ["charset": "utf-8"])
        HTML(.meta, ["name": "viewport", "content": "width=device-width, initial-scale=1"])
        HTML(.meta, ["name": "color-scheme", "content": "light dark"])
        HTML(.title) { "\(verdict.tone.sign) \(verdict.headline) · \(snapshot.instance)" }
        HTML(.link, ["rel": "icon", "id": "icon", "href": PageAssets.icon(verdict.tone)])
        HTML.style(PageAssets.sheet)
      }
      HTML(.body) {
        head
        HTML(.main, ["id": "main"]) {
          alarm
          conditions
          HTML(.div, ["class": "columns"]) {
            HTML(.div, ["class": "wide", "id": "wide"]) {
              accounts
              if !isLong { timeline }
            }
            HTML(.div, ["class": "side", "id": "side"]) {
              fleet
              if isLong { timeline }
              figures
              connections
            }
          }
        }
        foot
        HTML.script(PageAssets.script)
      }
    }.document
  }

  // MARK: Head

  private var head: HTML {
    HTML(.header, ["id": "head"]) {
      HTML(.p, ["class": "name"]) {
        HTML(.strong) { text("WeChat token keeper", "微信 token 中控") }
        HTML(.span, ["class": "where"]) {
          " \(snapshot.instance) · \(text.role(snapshot.role))"
        }
      }
      HTML(.nav, ["aria-label": text("On this page", "本页内容")]) {
        for (place, name) in [
          ("accounts", text("Accounts", "帐号")), ("fleet", text("Replicas", "副本")),
          ("timeline", text("Timeline", "时间线")), ("figures", text("Figures", "数据")),
        ] {
          HTML(.a, ["href": "#\(place)"]) { name }
        }
        HTML(
          .a,
          [
            "href": "?lang=\(text.language.other.rawValue)", "class": "language",
            "lang": text.language.other.tag, "hreflang": text.language.other.tag,
          ]
        ) { text.language.other.name }
      }
      // Empty but for the script, which has a reader hear of it once.
      HTML(.div, ["id": "stale", "class": "stale", "hidden": ""]) {
        HTML(.p) {
          HTML(.strong, ["id": "alert", "role": "alert"])
          " "
          text("This page is ", "本页面是 ")
          HTML(.span, ["data-ago": "\(snapshot.now.second)"]) { text.span(0) }
          text(
            " old, and comes back by itself. What it shows was so then.",
            " 前的状态，恢复连接后会自动更新。")
        }
        HTML(.p, ["id": "alert-text", "hidden": ""]) {
          text("The daemon does not answer.", "守护进程没有响应。")
        }
      }
    }
  }

  // MARK: Verdict

  private var alarm: HTML {
    HTML(
      .section,
      ["id": "verdict", "class": "verdict \(verdict.tone.rawValue)", "aria-labelledby": "headline"]
    ) {
      HTML(.span, ["class": "sign", "aria-hidden": "true"]) { verdict.tone.sign }
      HTML(.div, ["class": "words"]) {
        HTML(.h1, ["id": "headline", "aria-live": "polite"]) { verdict.headline }
        for group in verdict.groups { cause(group) }
        HTML(.p, ["class": "outlook"]) { outlook }
      }
    }
  }

  private func cause(_ group: ConditionGroup) -> HTML {
    HTML(.div, ["class": "cause"]) {
      // Of several causes each says whom it concerns.
      if verdict.groups.count > 1 || group.accounts.count > 1 {
        HTML(.p, ["class": "whom"]) {
          text.names(group.accounts.map(\.description), most: Self.mostNames)
        }
      }
      HTML(.p, ["class": "when"]) { text.since(group.since) }
      HTML(.dl, ["class": "answers"]) { answers(group) }
      small(group)
    }
  }

  /// So many accounts of one condition are named.
  private static let mostNames = 8

  /// Why, what it means, and what to do.
  private func answers(_ group: ConditionGroup) -> HTML {
    let condition = group.first
    let reason = condition.reason(text.language)
    let cause = condition.facts.cause ?? (group.accounts.isEmpty ? nil : condition.kind)
    return HTML.joined([
      reason == nil && condition.facts.cause == nil
        ? .empty
        : pair(text("Why", "原因")) {
          // A cause without words of its own is named.
          reason ?? cause?.title(text.language) ?? ""
          if let address = condition.facts.address {
            if reason?.contains(address) != true {
              text(" (WeChat sees \(address))", "（微信看到的出口地址 \(address)）")
            }
          }
        },
      condition.facts.instance.map { name in
        pair(text("Replica", "副本")) { HTML(.code) { name } }
      } ?? .empty,
      condition.facts.subject.map { name in
        pair(text("Concerns", "涉及")) { HTML(.code) { name } }
      } ?? .empty,
      condition.kind == .clockOff
        ? pair(text("How much", "相差")) { skew(condition) } : .empty,
      condition.kind == .noToken && reason != nil
        ? .empty
        : pair(text("It means", "影响")) { condition.kind.meaning(text.language) },
      pair(text("To do", "处理")) {
        text.prose(condition.remedy(text.language))
        " "
        HTML(.a, ["href": "/runbook?lang=\(text.language.rawValue)#\(condition.anchor)"]) {
          text("More in the runbook", "详见处理手册")
        }
      },
    ])
  }

  private func skew(_ condition: Condition) -> String {
    let seconds = condition.facts.count ?? 0
    return seconds > 0
      ? text(
        "WeChat's clock is \(seconds) s ahead of this machine's", "微信时钟比本机快 \(seconds) 秒")
      : text(
        "WeChat's clock is \(-seconds) s behind this machine's", "微信时钟比本机慢 \(-seconds) 秒")
  }

  private func pair(_ name: String, @HTMLBuilder _ content: () -> HTML) -> HTML {
    HTML(.div) {
      HTML(.dt) { name }
      HTML(.dd, [:], content)
    }
  }

  /// What helps to find more: attempts, WeChat's request id, the condition's stable name.
  private func small(_ group: ConditionGroup) -> HTML {
    let facts = group.first.facts
    return HTML(.p, ["class": "small"]) {
      if let count = facts.count, group.kinds.contains(where: \.isCounted) {
        text(
          count == 1 ? "1 failure" : "\(count) failures in a row", "连续失败 \(count) 次")
        if let next = facts.nextAt {
          text(", next attempt ", "，下次尝试 ")
          text.at(next)
        }
        " · "
      } else if let next = facts.nextAt {
        text("Next attempt ", "下次尝试 ")
        text.at(next)
        " · "
      }
      if let end = facts.endsAt, end > text.now {
        text("the token ends ", "token 到期 ")
        text.at(end)
        " · "
      }
      if let code = facts.code {
        "errcode "
        HTML(.code) { "\(code)" }
        " · "
      }
      if let id = facts.requestID {
        "rid "
        HTML(.code) { id }
        " · "
      }
      if let observer = group.first.observer {
        text("as \(observer) says · ", "据 \(observer) 报告 · ")
      }
      for kind in group.kinds {
        HTML(.code) { kind.rawValue }
        " "
      }
    }
  }

  /// What applications have: the last line of the verdict.
  private var outlook: HTML {
    let living = snapshot.accounts.filter(\.hasToken)
    let ends = living.compactMap(\.life?.endsAt).min()
    let total = snapshot.accounts.count
    return HTML.joined([
      total == 1 || verdict.tone == .good
        ? .empty
        : HTML(
          text(
            "\(living.count) of \(total) accounts \(living.count == 1 ? "has" : "have")"
              + " a live token. ",
            "\(total) 个帐号中 \(living.count) 个有有效 token。")),
      ends.map { end in
        HTML.joined([
          HTML(
            total == 1
              ? text("Applications have it until ", "应用可用到 ")
              : text("The first token ends at ", "最早到期 ")), text.at(end),
          HTML(text(". ", "。")),
        ])
      } ?? .empty,
      nextRefresh,
      HTML(.span, ["class": "ready"]) {
        readiness
      },
    ])
  }

  /// What `/readyz` answers: with a token missing, too, where one account is enough (`WCH_READY`).
  private var readiness: String {
    guard isReady else {
      return text("This replica is not ready (/readyz 503).", "本副本未就绪（/readyz 503）。")
    }
    guard !degraded.isEmpty else {
      return text("This replica is ready (/readyz 200).", "本副本就绪（/readyz 200）。")
    }
    let names = text.names(degraded.map(\.description), most: Self.mostNames)
    return text(
      "This replica is ready (/readyz 200), but degraded: without \(names).",
      "本副本就绪（/readyz 200），但处于降级状态（degraded）：缺 \(names)。")
  }

  private var nextRefresh: HTML {
    guard verdict.tone == .good || verdict.tone == .notice,
      let next = snapshot.accounts.compactMap({ $0.nextRefreshAt ?? $0.life?.refreshAt }).min()
    else { return .empty }
    return HTML.joined([
      HTML(text("Next refresh ", "下次刷新 ")), text.at(next), HTML(text(". ", "。")),
    ])
  }

  // MARK: Conditions

  private var conditions: HTML {
    guard !verdict.others.isEmpty else { return .empty }
    return HTML(.section, ["id": "conditions", "aria-labelledby": "conditions-title"]) {
      HTML(.h2, ["id": "conditions-title"]) {
        text("What else is wrong", "其他问题")
        HTML(.span, ["class": "number"]) { " \(verdict.others.count)" }
      }
      HTML(.ul, ["class": "cards"]) {
        for group in verdict.others { item(group) }
      }
    }
  }

  private func item(_ group: ConditionGroup) -> HTML {
    let tone = group.first.severity.tone
    return HTML(.li, ["class": "card \(tone.rawValue)"]) {
      HTML(.p, ["class": "mark"]) {
        HTML(.span, ["class": "sign", "aria-hidden": "true"]) { tone.sign }
        text.severity(group.first.severity)
      }
      HTML(.h3) { group.first.kind.title(text.language) }
      if !group.accounts.isEmpty {
        HTML(.p, ["class": "whom"]) {
          text.names(group.accounts.map(\.description), most: Self.mostNames)
        }
      }
      HTML(.p, ["class": "when"]) { text.since(group.since) }
      HTML(.dl, ["class": "answers"]) { answers(group) }
      small(group)
    }
  }

  // MARK: Foot

  private var foot: HTML {
    HTML(.footer, ["id": "foot"]) {
      HTML(.p) {
        text("State of ", "状态时间 ")
        text.time(snapshot.now)
        HTML(.span, ["class": "scripted"]) {
          ", "
          HTML(.span, ["data-ago": "\(snapshot.now.second)"]) { text.span(0) }
          text(" ago. Times are in ", "前。时间所用时区：")
          HTML(.span, ["data-zone": ""]) { "UTC" }
          text(".", "。")
        }
        HTML(.span, ["class": "unscripted"]) {
          text(
            ". All times are in UTC; without its script this page shows what was when it was"
              + " loaded: load it again.",
            "。所有时间为 UTC；未启用脚本时，本页显示加载时的状态，请刷新查看最新状态。")
        }
      }
      HTML(.p) {
        "wch-sidecar \(snapshot.version) · "
        HTML(.a, ["href": "/runbook?lang=\(text.language.rawValue)"]) { text("runbook", "处理手册") }
        " · "
        HTML(.a, ["href": "/v1/status"]) { text("status as JSON", "JSON 状态") }
        " · "
        HTML(.a, ["href": "/metrics"]) { text("metrics", "指标") }
        " · "
        HTML(.a, ["href": "/readyz"]) { text("readiness", "就绪检查") }
      }
    }
  }
}

extension Condition.Kind {
  /// Whether its count is one of failures in a row.
  fileprivate var isCounted: Bool { self == .refreshFailing || self == .redisStep }
}
