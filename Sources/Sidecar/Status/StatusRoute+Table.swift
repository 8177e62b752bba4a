extension StatusRoute {
  /// The table.
  var row: Row {
    switch self {
    case .page: Self.pageRow
    case .status: Self.statusRow
    case .live: Self.liveRow
    case .ready: Self.readyRow
    case .started: Self.startedRow
    case .metrics: Self.metricsRow
    case .token: Self.tokenRow
    case .refresh: Self.refreshRow
    case .runbook: Self.runbookRow
    case .openAPI: Self.openAPIRow
    }
  }

  // MARK: Parameters

  private static let language = [
    Parameter(
      name: "lang", schema: .string(),
      help: Words(
        "`en` or `zh`; otherwise by `Accept-Language`, otherwise English.",
        "`en` 或 `zh`；否则按 `Accept-Language`，再否则英文。")),
    Parameter(
      name: "Accept-Language", place: .header, schema: .string(),
      help: Words("The reader's languages.", "读者的语言。")),
  ]

  private static let account = Parameter(
    name: "account",
    // An empty name is the unnamed account's, as is `default`.
    schema: .string(pattern: "^[A-Za-z0-9._-]{0,64}$"),
    help: Words(
      "The account's name; `default` is the unnamed one.", "帐号名；`default` 指未命名帐号。"))

  /// `NAME`, and behind it the kind of a ticket.
  static let credentialPattern =
    "^[A-Za-z0-9._-]{0,64}(/(jsapi_ticket|wx_card_ticket|agent_config_ticket))?$"

  private static let credential = Parameter(
    name: "account", schema: .string(pattern: credentialPattern),
    help: Words(
      "The account's name, or a ticket's as `NAME/jsapi_ticket`; `default` is the unnamed one.",
      "帐号名，ticket 写作 `NAME/jsapi_ticket`；`default` 指未命名帐号。"))

  // MARK: Rows

  private static let pageRow = Row(
    path: "/", name: "page", parameters: language,
    answers: [Answer(status: 200, content: .html, meaning: Words("The page.", "页面。"))],
    problems: [.tooManyPages],
    help: Words("The status page, for people.", "供人查看的状态页。"))

  private static let statusRow = Row(
    path: "/v1/status", name: "status", parameters: [account],
    answers: [
      Answer(
        status: 200, content: .json("Status"),
        meaning: Words(
          "Everything that this replica knows, or what it knows of that account.",
          "本副本所知的一切；指定帐号时只含该帐号。"))
    ],
    problems: [.badAccount, .noSuchAccount, .tooManyPages],
    help: Words(
      "The same for programs; every member is always there, null when unknown.",
      "供程序使用的同样内容；所有成员始终存在，未知时为 null。"))

  private static let healthAnswers = [
    Answer(status: 200, content: .json("Health"), meaning: Words("It is well.", "正常。"))
  ]

  private static let liveRow = Row(
    path: "/livez", name: "live", answers: healthAnswers, problems: [.notAlive],
    help: Words(
      "For liveness probes: whether the loop runs; nothing about Redis or WeChat.",
      "存活探针：主循环是否在运行，与 Redis、微信无关。"))

  private static let readyRow = Row(
    path: "/readyz", name: "ready", parameters: [account],
    answers: [
      Answer(
        status: 200, content: .json("Readiness"),
        meaning: Words(
          "Tokens can be read here; `degraded` names the accounts of which none can.",
          "可以读取 token；`degraded` 列出不可读的帐号。"))
    ],
    problems: [.badRequest, .badAccount, .noSuchAccount, .notReady],
    help: Words(
      """
      For readiness probes: whether a live token was seen in Redis within a minute, of that \
      account, or else as `WCH_READY` says.
      """,
      "就绪探针：一分钟内是否在 Redis 中看到有效 token；可指定帐号，否则按 `WCH_READY`。"))

  private static let startedRow = Row(
    path: "/startupz", name: "started", answers: healthAnswers, problems: [.notStarted],
    help: Words(
      "For startup probes: whether settings are accepted and the loop has begun.",
      "启动探针：配置已接受且主循环已开始。"))

  private static let metricsRow = Row(
    path: "/metrics", name: "metrics",
    answers: [
      Answer(
        status: 200, content: .prometheus,
        meaning: Words("Prometheus's text format.", "Prometheus 文本格式。"))
    ],
    problems: [.tooManyPages], help: Words("For Prometheus.", "供 Prometheus 抓取。"))

  private static let tokenRow = Row(
    path: "/v1/token", name: "token", isGuarded: true, parameters: [credential],
    answers: [
      Answer(
        status: 200, content: .json("Token"),
        meaning: Words(
          "The token, or the ticket, from memory: also while Redis is down.",
          "内存中的 token 或 ticket，Redis 断开时也可用。"))
    ],
    problems: [
      .badRequest, .badAccount, .bearerRequired, .localOnly, .webPage, .strangeHost,
      .noSuchAccount, .tokenUnavailable,
    ],
    help: Words("An account's token.", "某个帐号的 token。"))

  private static let refreshRow = Row(
    path: "/v1/refresh", name: "refresh", method: "POST", isGuarded: true,
    body: "RefreshRequest",
    answers: [
      Answer(
        status: 200, content: .json("Refresh"),
        meaning: Words(
          "Another token than the reported one is in Redis.", "Redis 中已是与所报告的不同的 token。")),
      Answer(
        status: 429, content: .json("RefreshLimited"),
        meaning: Words(
          "A limit holds the report up; it is kept and served then.", "受限频推迟；报告已保留，届时处理。"),
        hasRetryAfter: true),
    ],
    problems: [
      .badBody, .bearerRequired, .localOnly, .webPage, .strangeHost, .noSuchAccount,
      .requestTimeout, .bodyTooLong, .refreshUnavailable,
    ],
    help: Words(
      "Reports that WeChat refuses a token, or forces another; waits at most ten seconds.",
      "报告微信拒绝了某个 token，或强制换新；最多等待十秒。"))

  private static let runbookRow = Row(
    path: "/runbook", name: "runbook", parameters: language,
    answers: [
      Answer(
        status: 200, content: .html,
        meaning: Words(
          "Every condition, errcode, alert and problem, and what to do.",
          "每种状况、错误码、告警与问题，以及处理方法。"))
    ],
    problems: [.tooManyPages],
    help: Words("What to do about what is wrong.", "出问题时怎么办。"))

  private static let openAPIRow = Row(
    path: "/openapi.json", name: "openapi",
    answers: [
      Answer(
        status: 200, content: .openAPI,
        meaning: Words("An OpenAPI 3.1 document.", "OpenAPI 3.1 文档。"))
    ],
    problems: [.tooManyPages],
    help: Words("This interface, described for programs.", "供程序读取的接口描述。"))
}
