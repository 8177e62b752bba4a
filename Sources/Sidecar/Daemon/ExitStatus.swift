/// Why the program ends: every exit code that it has (README.md#settings).
///
/// The help, the manual page and the documentation have their tables from here.
package enum ExitStatus: Int32, Sendable, CaseIterable {
  case done = 0
  case failed = 1
  case usage = 64
  case unreachable = 69
  case timedOut = 75
  case refused = 77
  case misconfigured = 78

  /// What the code means, for people.
  package var meaning: Words {
    switch self {
    case .done:
      Words(
        "Done; of the daemon and of `--watch`, also the orderly end after SIGTERM or SIGINT.",
        "完成；守护进程与 `--watch` 收到 SIGTERM 或 SIGINT 后正常结束也是 0。")
    case .failed:
      Words(
        """
        Failed or degraded: `health` found the daemon not ready, dead or not there; `check` found \
        something wrong; `token` and `refresh` were answered and got no token; the HTTP interface \
        could not start.
        """,
        "失败或降级：`health` 发现守护进程未就绪、停滞或不在；`check` 发现问题；`token`、`refresh`"
          + " 得到了回答但没有 token；HTTP 接口无法启动。")
    case .usage: Words("The command line is wrong.", "命令行有误。")
    case .unreachable:
      Words(
        """
        Redis, WeChat or the daemon cannot be reached (`once`, `check`, `status`, `token`, \
        `refresh`); a wrong password of Redis counts, too.
        """,
        "无法连接 Redis、微信或守护进程（`once`、`check`、`status`、`token`、`refresh`）；"
          + "Redis 密码错误也算。")
    case .timedOut:
      Words(
        "The time is over: of `wait` and `once`; the cause is named.",
        "超时（`wait`、`once`）；会说明原因。")
    case .refused:
      Words(
        """
        WeChat refuses the credentials, the account or the address, or the day's calls are used up \
        (45009): nothing but people's doing helps soon (`once`, `check`, `refresh`).
        """,
        "微信拒绝凭据、帐号或出口地址，或当日额度用尽（45009）：只有人工处理才会很快好转"
          + "（`once`、`check`、`refresh`）。")
    case .misconfigured:
      Words("The settings are invalid; every problem is named.", "设置无效；会列出每一个问题。")
    }
  }
}
