/// The rule about files and programs that tokens are handed on to.
extension AlertRule {
  static let outputFailing = AlertRule(
    "WeChatTokenOutputFailing", .warning, lasting: "2m",
    """
    max by (\(deployment), condition, account) (
      wechat_token_condition{condition=~"file_unwritten|hook_failing"}
    ) > 0
    """,
    summary: "{{ $labels.job }}: {{ $labels.condition }} {{ $labels.account }}",
    anchor: "{{ $labels.condition }}",
    meaning: Words(
      """
      A file or a program has not taken the token for two minutes. What reads there keeps the last \
      one, which dies within five minutes of the next one's birth; Redis has the new one.
      """,
      "有文件或程序两分钟未能接收 token。读取它的一方只有旧 token，新 token 产生五分钟内旧的就会失效；Redis 中是新的。"),
    cause: Words(
      "A directory, a disk or a right; or the server that the program writes to.",
      "目录、磁盘或权限；或者该程序要写入的服务。"),
    look: Words(
      "The condition on the page, with its reason; what the program printed is in the log.",
      "页面上的状况及其原因；程序的输出在日志中。"),
    remedy: Words("See the entry of the condition.", "见该状况的条目。"))
}
