import TokenCore

extension StatusPage {
  /// The accounts as bars of life, the failing first.
  var accounts: HTML {
    let worst = Dictionary(
      snapshot.conditions.compactMap { condition in condition.account.map { ($0, condition) } },
      uniquingKeysWith: { first, _ in first })
    let sorted = snapshot.accounts.sorted { a, b in
      let (first, second) = (rank(a, worst[a.name]), rank(b, worst[b.name]))
      return first != second ? first > second : a.name < b.name
    }
    let failing = sorted.count { worst[$0.name] != nil || !$0.hasToken }
    return HTML(.section, ["id": "accounts", "aria-labelledby": "accounts-title"]) {
      HTML(.h2, ["id": "accounts-title"]) {
        text("Accounts", "帐号")
        HTML(.span, ["class": "number"]) {
          " \(sorted.count)"
            + (failing == 0 ? "" : text(", \(failing) in trouble", "，\(failing) 个有问题"))
        }
      }
      if isLong { search }
      HTML(.ul, ["class": "accounts", "id": "list"]) {
        for account in sorted { row(account, worst[account.name]) }
      }
    }
  }

  private func rank(_ account: StatusSnapshot.Account, _ worst: Condition?) -> Int {
    let severity = worst.flatMap { Condition.Severity.allCases.firstIndex(of: $0.severity) } ?? -1
    return severity * 2 + (account.hasToken ? 0 : 1)
  }

  /// Works by the page's script only.
  private var search: HTML {
    HTML(.div, ["class": "search scripted", "id": "search"]) {
      HTML(.label, ["for": "filter"]) { text("Find by name", "按名称查找") }
      HTML(
        .input, ["id": "filter", "type": "search", "autocomplete": "off", "spellcheck": "false"])
      HTML(.span, ["id": "found", "role": "status"])
    }
  }

  private func row(_ account: StatusSnapshot.Account, _ worst: Condition?) -> HTML {
    let tone = self.tone(account, worst)
    let name = account.name.description
    return HTML(
      .li, ["class": "account \(tone.rawValue)", "id": "account-\(name)", "data-name": name]
    ) {
      HTML(.div, ["class": "top"]) {
        HTML(.h3) { name }
        HTML(.p, ["class": "state"]) {
          HTML(.span, ["class": "sign", "aria-hidden": "true"]) { tone.sign }
          state(account, worst)
        }
      }
      bar(account)
      HTML(.p, ["class": "life"]) { life(account, worst) }
      if let worst {
        HTML(.p, ["class": "trouble"]) { trouble(worst) }
      }
      HTML(.details, ["id": "details-\(name)"]) {
        HTML(.summary, ["aria-label": text("Details of \(name)", "\(name) 的详情")]) {
          text("Details", "详情")
        }
        HTML(.dl, ["class": "facts"]) { facts(account) }
      }
    }
  }

  private func tone(_ account: StatusSnapshot.Account, _ worst: Condition?) -> EventLog.Tone {
    if let worst { return worst.severity.tone }
    return account.hasToken ? .good : .calm
  }

  private func state(_ account: StatusSnapshot.Account, _ worst: Condition?) -> String {
    guard account.hasToken else {
      return worst == nil ? text("not looked at yet", "尚未检查") : text("no token", "没有 token")
    }
    if (account.remainingSeconds ?? 0) <= 0 { return text("ends soon", "即将到期") }
    guard let worst, worst.severity > .notice else { return text("alive", "有效") }
    return text("alive, in trouble", "有效，但有问题")
  }

  /// What is left of the token's life: it runs out to the left, where the margins are.
  private func bar(_ account: StatusSnapshot.Account) -> HTML {
    let name = account.name.description
    guard let life = account.life, account.hasToken else {
      return HTML(
        .div,
        [
          "class": "bar", "role": "meter", "aria-valuemax": "1", "aria-valuenow": "0",
          "aria-label": text("Life left of \(name)", "\(name) 剩余寿命"),
          "aria-valuetext": text("no token", "没有 token"),
        ]
      ) { drawing(left: 0, margin: 0, refresh: 0) }
    }
    let whole = max(1, life.endsAt.second - life.bornAt.second)
    let left = min(whole, max(0, life.endsAt.second - snapshot.now.second))
    return HTML(
      .div,
      [
        "class": "bar", "role": "meter", "aria-valuemax": "\(whole)",
        "aria-valuenow": "\(left)", "aria-label": text("Life left of \(name)", "\(name) 剩余寿命"),
        "aria-valuetext": text(
          "\(text.span(left)) of \(text.span(whole))",
          "剩 \(text.span(left))，共 \(text.span(whole))"),
      ]
    ) {
      drawing(
        left: share(left, of: whole),
        margin: share(life.endsAt.second - life.trustedUntil.second, of: whole),
        refresh: share(life.endsAt.second - life.refreshAt.second, of: whole))
    }
  }

  /// Of so many parts a bar is long.
  private static let length: Int64 = 1000

  private func share(_ part: Int64, of whole: Int64) -> Int64 {
    max(0, min(Self.length, part * Self.length / whole))
  }

  private func drawing(left: Int64, margin: Int64, refresh: Int64) -> HTML {
    HTML(
      .svg,
      ["viewBox": "0 0 \(Self.length) 8", "preserveAspectRatio": "none", "aria-hidden": "true"]
    ) {
      HTML(.rect, ["class": "left", "width": "\(left)", "height": "8"])
      if margin > 0 { HTML(.rect, ["class": "margin", "width": "\(margin)", "height": "8"]) }
      if refresh > 0 {
        HTML(.rect, ["class": "tick", "x": "\(refresh)", "width": "3", "height": "8"])
      }
    }
  }

  private func life(_ account: StatusSnapshot.Account, _ worst: Condition?) -> HTML {
    guard account.hasToken, let life = account.life else {
      guard let worst else { return .empty }
      return HTML(.span) { text.since(worst.since) }
    }
    let next = account.nextRefreshAt ?? life.refreshAt
    return HTML.joined([
      HTML(.span) {
        HTML(.strong) { text.until(life.endsAt) }
        text(" left", " 后到期")
      },
      HTML(.span) {
        text("refresh ", "刷新 ")
        text.time(next)
      },
      account.fetchedBy.map { name in
        HTML(.span) { text("by \(name)", "由 \(name) 获取") }
      } ?? .empty,
    ])
  }

  private func trouble(_ worst: Condition) -> HTML {
    let reason =
      worst.reason(text.language) ?? worst.facts.cause?.title(text.language)
      ?? worst.kind.title(text.language)
    return HTML.joined([
      HTML(reason),
      worst.facts.nextAt.map { next in
        HTML.joined([HTML(text(" · next attempt ", " · 下次尝试 ")), text.at(next)])
      } ?? .empty,
    ])
  }

  private func facts(_ account: StatusSnapshot.Account) -> HTML {
    var rows: [HTML] = []
    func row(_ name: String, _ content: HTML) {
      rows.append(
        HTML(.div) {
          HTML(.dt) { name }
          HTML(.dd) { content }
        })
    }
    if let appID = account.appID {
      row("AppID", HTML("\(appID)\(account.api.map { " · \($0.rawValue)" } ?? "")"))
    }
    if let life = account.life {
      row(text("Fetched", "获取于"), text.time(life.bornAt))
      row(text("Seen in Redis", "最近在 Redis 看到"), text.time(life.seenAt))
      row(
        text("Trusted until, ends", "信任至、到期"),
        HTML.joined([
          text.time(life.trustedUntil), HTML(text.comma), text.time(life.endsAt),
        ]))
    }
    // What is so nearly always needs no line in a page of 250 accounts.
    if !["following", "holding"].contains(account.phase) {
      row(text("Keeper", "程序状态"), HTML(text.phase(account.phase)))
    }
    guard account.refreshesSucceeded + account.refreshesFailed > 0 else { return .joined(rows) }
    row(
      text("Fetches of this replica", "本副本刷新"),
      HTML(
        text(
          "\(account.refreshesSucceeded) ok, \(account.refreshesFailed) failed",
          "成功 \(account.refreshesSucceeded) 次，失败 \(account.refreshesFailed) 次")))
    if let failure = account.lastFailure {
      row(
        text("Last failure here", "本副本最近失败"),
        HTML.joined([
          text.time(failure.at), HTML(text.colon),
          HTML("\(failure.code.map { "\($0) " } ?? "")\(failure.reason)"),
          failure.requestID.map { id in
            HTML.joined([HTML(" · rid "), HTML(.code) { id }])
          } ?? .empty,
        ]))
    }
    return .joined(rows)
  }
}
