import TokenCore

/// The status page: the reference's five figures, who leads, and the accounts.
struct StatusPage {
  let snapshot: StatusSnapshot

  /// How often an open page loads itself again, in seconds; the leader ticks every twenty.
  private static let reloadSeconds = 10

  var document: String {
    HTML(.html, ["lang": "zh-CN"]) {
      HTML(.head) {
        HTML(.meta, ["charset": "utf-8"])
        HTML(.meta, ["name": "viewport", "content": "width=device-width, initial-scale=1"])
        HTML(.meta, ["http-equiv": "refresh", "content": "\(Self.reloadSeconds)"])
        HTML(.title) { "wch-sidecar · \(snapshot.instance)" }
        HTML.style(sheet)
      }
      HTML(.body) {
        HTML(.main) {
          head
          figures
          accounts
          foot
        }
      }
    }.document
  }

  private var head: HTML {
    HTML(.header) {
      HTML(.h1) {
        "微信凭证中控 "
        HTML(.small) { "WeChat token keeper" }
      }
      HTML(.p) {
        HTML(.span, ["class": "badge \(snapshot.role == .leader ? "good" : "calm")"]) {
          roleName
        }
        HTML(.span, ["class": "badge \(snapshot.redis.isConnected ? "good" : "bad")"]) {
          snapshot.redis.isConnected ? "Redis 已连接 connected" : "Redis 未连接 disconnected"
        }
      }
      HTML(.p) {
        "主控 Leader: "
        HTML(.strong) { snapshot.leader ?? "无 none" }
        if let epoch = snapshot.epoch { " · 任期 epoch \(epoch)" }
      }
      if let error = snapshot.redis.lastError, !snapshot.redis.isConnected {
        HTML(.p, ["class": "bad"]) { "Redis: \(error)" }
      }
      for connection in snapshot.redis.lame {
        HTML(.p, ["class": "warn"]) {
          "Redis 连接断开 connection away: \(connection.link.name)"
            + (connection.since.map { " · 自 since \(Self.written($0))" } ?? "")
            + (connection.lastError.map { " · \($0)" } ?? "")
        }
      }
      if let skew = snapshot.weChat.noticeableSkew {
        HTML(.p, ["class": "warn"]) {
          "微信服务器时钟\(skew > 0 ? "快" : "慢") \(skew.magnitude) 秒 · WeChat's clock is "
            + "\(skew.magnitude) s \(skew > 0 ? "ahead of" : "behind") this machine's"
        }
      }
    }
  }

  private var roleName: String {
    switch snapshot.role {
    case .leader: "主控 leader"
    case .follower: "备用 follower"
    case .candidate: "竞选中 candidate"
    case .isolated: "与 Redis 失联 isolated"
    case .stopping: "正在退出 stopping"
    }
  }

  private var figures: HTML {
    HTML(.dl, ["class": "figures"]) {
      figure("系统启动", "Started", Self.written(snapshot.startedAt))
      figure("定时器执行", "Timer runs", "\(snapshot.ticks)")
      figure(
        "凭证Token有效期", "Remaining life",
        snapshot.shortestLife.map { "\($0) 秒 s" } ?? "无 none",
        mark: snapshot.shortestLife.map { $0 > 0 } == true ? "good" : "bad")
      figure("刷新Token成功", "Refreshes ok", "\(snapshot.refreshesSucceeded) 次")
      figure(
        "刷新Token失败", "Refreshes failed", "\(snapshot.refreshesFailed) 次",
        mark: snapshot.refreshesFailed == 0 ? "" : "warn")
    }
  }

  private func figure(_ chinese: String, _ english: String, _ value: String, mark: String = "")
    -> HTML
  {
    HTML(.div) {
      HTML(.dt) {
        chinese
        HTML(.small) { english }
      }
      HTML(.dd, ["class": mark]) { value }
    }
  }

  private var accounts: HTML {
    HTML(.section) {
      HTML(.h2) {
        "帐号 "
        HTML(.small) { "Accounts" }
      }
      HTML(.div, ["class": "scroll"]) {
        HTML(.table) {
          HTML(.thead) {
            HTML(.tr) {
              for (chinese, english) in [
                ("名称", "Name"), ("凭证", "Token"), ("剩余", "Remaining"), ("成功", "Ok"),
                ("失败", "Failed"), ("下次刷新", "Next refresh"), ("状态", "Phase"),
                ("获取者", "Fetched by"), ("最近失败", "Last failure"),
              ] {
                HTML(.th) {
                  chinese
                  HTML(.small) { english }
                }
              }
            }
          }
          HTML(.tbody) {
            for account in snapshot.accounts { row(account) }
          }
        }
      }
    }
  }

  private func row(_ account: StatusSnapshot.Account) -> HTML {
    HTML(.tr) {
      HTML(.td) { HTML(.strong) { account.name.description } }
      HTML(.td, ["class": account.hasToken ? "good" : "bad"]) {
        account.hasToken ? "有效 live" : "无 none"
      }
      HTML(.td) { account.remainingSeconds.map { "\($0) s" } ?? "—" }
      HTML(.td) { "\(account.refreshesSucceeded)" }
      HTML(.td, ["class": account.refreshesFailed == 0 ? "" : "warn"]) {
        "\(account.refreshesFailed)"
      }
      HTML(.td) { account.nextRefreshAt.map(Self.written) ?? "—" }
      HTML(.td) { account.phase }
      HTML(.td) { account.fetchedBy ?? "—" }
      HTML(.td) { account.lastFailure.map(Self.written) ?? "—" }
    }
  }

  private var foot: HTML {
    HTML(.footer) {
      "wch-sidecar \(snapshot.version) · \(snapshot.instance) · \(Self.written(snapshot.now)) · "
      HTML(.a, ["href": "/v1/status"]) { "JSON" }
      " · "
      HTML(.a, ["href": "/metrics"]) { "metrics" }
    }
  }

  private static func written(_ failure: StatusSnapshot.Failure) -> String {
    let code = failure.code.map { "\($0) " } ?? ""
    let request = failure.requestID.map { " (rid \($0))" } ?? ""
    return "\(code)\(failure.reason)\(request) · \(written(failure.at))"
  }

  /// `2024-02-29 23:59:59 UTC`.
  private static func written(_ time: Timestamp) -> String {
    time.description.prefix(19).replacing("T", with: " ") + " UTC"
  }

  private var sheet: StaticString {
    """
    :root{color-scheme:light dark;--line:#d9dee5;--soft:#667085;--card:#fff;--back:#f4f6f8;
    --text:#1d2939;--good:#067647;--bad:#b42318;--warn:#b54708;--calm:#475467}
    @media(prefers-color-scheme:dark){:root{--line:#344054;--soft:#98a2b3;--card:#1d2430;
    --back:#12171f;--text:#e4e7ec;--good:#47cd89;--bad:#f97066;--warn:#fdb022;--calm:#98a2b3}}
    *{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--text);
    font:15px/1.55 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
    main{max-width:68rem;margin:0 auto;padding:2rem 1.25rem}
    h1{font-size:1.6rem;margin:0 0 .5rem}h2{font-size:1.15rem;margin:2rem 0 .75rem}
    small{color:var(--soft);font-weight:400;font-size:.8em}p{margin:.35rem 0}
    .badge{display:inline-block;padding:.1rem .7rem;margin-right:.5rem;border-radius:1rem;
    border:1px solid currentColor;font-size:.85rem}
    .good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.calm{color:var(--calm)}
    .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(11.5rem,1fr));gap:.75rem;
    margin:1.5rem 0 0}.figures div{background:var(--card);border:1px solid var(--line);
    border-radius:.6rem;padding:.8rem 1rem}dt small{display:block}
    dd{margin:.3rem 0 0;font-size:1.15rem;font-weight:600;font-variant-numeric:tabular-nums}
    .scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);
    border-radius:.6rem}table{border-collapse:collapse;width:100%;font-size:.9rem}
    th,td{text-align:left;padding:.55rem .8rem;border-bottom:1px solid var(--line);
    vertical-align:top;font-variant-numeric:tabular-nums}th small{display:block}
    th,td:not(:last-child){white-space:nowrap}
    tbody tr:last-child td{border-bottom:0}
    footer{margin-top:2rem;color:var(--soft);font-size:.85rem}a{color:inherit}
    """
  }
}
