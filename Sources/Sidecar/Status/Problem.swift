import NIOHTTP1

/// Why a request is refused: the `type` of a problem document (RFC 9457), which is stable.
///
/// The type is a reference into the runbook that every replica serves, so that whoever meets a
/// problem is one click from what to do. Answers and the runbook come from this one table.
package enum Problem: String, Hashable, Sendable, CaseIterable {
  case badRequest = "bad_request"
  case badAccount = "bad_account"
  case badBody = "bad_body"
  case bearerRequired = "bearer_required"
  case localOnly = "local_only"
  case webPage = "web_page"
  case strangeHost = "strange_host"
  case noSuchPath = "no_such_path"
  case noSuchAccount = "no_such_account"
  case methodNotAllowed = "method_not_allowed"
  case requestTimeout = "request_timeout"
  case bodyTooLong = "body_too_long"
  case targetTooLong = "target_too_long"
  case headersTooLong = "headers_too_long"
  case notAlive = "not_alive"
  case notReady = "not_ready"
  case notStarted = "not_started"
  case tokenUnavailable = "token_unavailable"
  case refreshUnavailable = "refresh_unavailable"
  case tooManyPages = "too_many_pages"
  case unknownCoding = "unknown_coding"
  case unknownVersion = "unknown_version"

  /// The status that it is answered with, always.
  var status: HTTPResponseStatus {
    switch self {
    case .badRequest, .badAccount, .badBody: .badRequest
    case .bearerRequired: .unauthorized
    case .localOnly, .webPage, .strangeHost: .forbidden
    case .noSuchPath, .noSuchAccount: .notFound
    case .methodNotAllowed: .methodNotAllowed
    case .requestTimeout: .requestTimeout
    case .bodyTooLong: .custom(code: 413, reasonPhrase: "Content Too Large")
    case .targetTooLong: .uriTooLong
    case .headersTooLong: .requestHeaderFieldsTooLarge
    case .notAlive, .notReady, .notStarted, .tokenUnavailable, .refreshUnavailable, .tooManyPages:
      .serviceUnavailable
    case .unknownCoding: .notImplemented
    case .unknownVersion: .httpVersionNotSupported
    }
  }

  package var code: Int { Int(status.code) }

  /// The `type`: a reference relative to the replica that answers.
  package var type: String { "\(StatusRoute.runbook.path)#\(rawValue)" }

  /// The `title`, in English as in the document; in both languages for the runbook.
  package var title: Words {
    switch self {
    case .badRequest: Words("This is no request that is taken", "请求格式不被接受")
    case .badAccount: Words("This cannot be an account's name", "帐号名称不合法")
    case .badBody: Words("The body is not understood", "请求正文无法理解")
    case .bearerRequired: Words("The bearer token is required", "需要 bearer 令牌")
    case .localOnly: Words("This is answered on this host only", "此接口只在本机应答")
    case .webPage: Words("Web pages may not ask for this", "网页不得请求此接口")
    case .strangeHost: Words("The Host is not this host", "Host 不是本机")
    case .noSuchPath: Words("There is nothing at this path", "没有这个路径")
    case .noSuchAccount: Words("No such account is configured", "没有配置该帐号")
    case .methodNotAllowed: Words("The path does not take this method", "该路径不支持此方法")
    case .requestTimeout: Words("The request did not arrive in time", "请求未在限时内到达")
    case .bodyTooLong: Words("The body is too long", "请求正文过长")
    case .targetTooLong: Words("The target is too long", "请求路径过长")
    case .headersTooLong: Words("The headers are too long", "请求头过长")
    case .notAlive: Words("The keeper's loop does not run", "主循环没有运行")
    case .notReady: Words("No token can be read here", "这里没有可读的 token")
    case .notStarted: Words("The keeper's loop has not started", "主循环尚未启动")
    case .tokenUnavailable: Words("There is no live token", "没有可用的 token")
    case .refreshUnavailable: Words("No other token came of it", "没有换到新的 token")
    case .tooManyPages: Words("Too many pages are on their way", "同时发送的页面过多")
    case .unknownCoding:
      Words("The transfer coding is not known here", "不支持的传输编码")
    case .unknownVersion: Words("The version of HTTP is not spoken here", "不支持的 HTTP 版本")
    }
  }

  /// What it means, and what usually leads to it.
  var cause: Words {
    switch self {
    case .badRequest:
      Words(
        """
        The request breaks RFC 9112, or its `Host` is missing or given twice. Usually something \
        that does not speak HTTP, or speaks TLS where there is none. Or a parameter has a slip \
        in its name: then another account would be told of than was meant.
        """,
        "请求不符合 RFC 9112，或缺少 `Host`、`Host` 重复。通常是对端说的不是 HTTP，或对非 TLS 端口用了 TLS。"
          + "也可能是参数名写错：否则回答的会是另一个帐号。")
    case .badAccount:
      Words(
        "A name has 1 to 64 letters, digits, `.`, `_`, `-`; the unnamed account is `default`.",
        "名称由 1 到 64 个字母、数字、`.`、`_`、`-` 组成；未命名帐号为 `default`。")
    case .badBody:
      Words(
        """
        The body must be a JSON object with `rejected_token`, or `rejected_sha256`, or \
        `"force": true`.
        """,
        "正文须是 JSON 对象，含 `rejected_token`、`rejected_sha256` 或 `\"force\": true` 之一。")
    case .bearerRequired:
      Words(
        """
        A bearer is set at the daemon, and the request has none, another one, or more than one \
        `Authorization`.
        """,
        "守护进程设置了 bearer，而请求没有带、带错，或有多个 `Authorization`。")
    case .localOnly:
      Words(
        "Without a bearer tokens are given out on loopback and Unix sockets only.",
        "未设置 bearer 时，只在回环地址与 Unix socket 上给出 token。")
    case .webPage:
      Words(
        "The request comes from a page in a browser, which must not reach the token.",
        "请求来自浏览器中的网页，网页不得接触 token。")
    case .strangeHost:
      Words(
        """
        The `Host` names neither `localhost` nor a loopback address: so a foreign name that was \
        pointed here would look.
        """,
        "`Host` 不是 `localhost` 或回环地址：被恶意指向本机的域名正是这样。")
    case .noSuchPath:
      Words(
        "The path is not one of this interface's; case and a slash at the end count.",
        "路径不在接口表中；大小写与末尾的斜杠都要一致。")
    case .noSuchAccount:
      Words(
        "The name is misspelt, or this replica has other settings than the one that was meant.",
        "名称有误，或本副本的配置与预期的副本不同。")
    case .methodNotAllowed:
      Words("`Allow` names the methods that it takes.", "`Allow` 头列出支持的方法。")
    case .requestTimeout:
      Words(
        "The body did not arrive within ten seconds of the head.", "请求头之后十秒内没有收到正文。")
    case .bodyTooLong:
      Words(
        "A request to refresh has at most 4,096 bytes; other paths take no body.",
        "刷新请求的正文最多 4096 字节；其他路径不接受正文。")
    case .targetTooLong:
      Words("Path and query have at most 8 KiB together.", "路径与查询串合计最多 8 KiB。")
    case .headersTooLong:
      Words(
        "The headers have at most 8 KiB each and 16 KiB together.",
        "单个请求头最多 8 KiB，合计最多 16 KiB。")
    case .notAlive:
      Words(
        "The loop has done nothing for three ticks: the process stands still.",
        "主循环连续三个周期没有动作：进程已停滞。")
    case .notReady:
      Words(
        "No live token was seen in Redis within a minute; `detail` says which condition it is.",
        "一分钟内没有在 Redis 里看到有效 token；`detail` 说明是哪种状况。")
    case .notStarted:
      Words("The process has just been started.", "进程刚刚启动。")
    case .tokenUnavailable:
      Words(
        """
        The account has no token that certainly lives; `condition` names what is wrong, \
        `errcode` what WeChat said.
        """,
        "该帐号没有确定有效的 token；`condition` 指出状况，`errcode` 是微信的错误码。")
    case .refreshUnavailable:
      Words(
        """
        The report was taken, or could not be handed to the leader; no other token came within \
        ten seconds. `detail` says what is known, `condition` and `errcode` name it.
        """,
        "报告已受理，或无法转给主控副本；十秒内没有换到新 token。`detail` 说明已知情况，`condition`、`errcode` 指明原因。")
    case .tooManyPages:
      Words(
        "32 pages are being sent already, to clients that read slowly.",
        "已有 32 个页面正发送给读取缓慢的客户端。")
    case .unknownCoding:
      Words(
        "Of transfer codings `chunked` is understood, and no other.", "传输编码只支持 `chunked`。")
    case .unknownVersion:
      Words("HTTP/1.0 and HTTP/1.1 are spoken here.", "只支持 HTTP/1.0 与 HTTP/1.1。")
    }
  }

  /// What to look at.
  var look: Words {
    switch self {
    case .notAlive, .notReady, .notStarted, .tokenUnavailable, .refreshUnavailable:
      Words(
        "The conditions on the page and in `/v1/status`, and the log of the leader.",
        "页面与 `/v1/status` 中的状况，以及主控副本的日志。")
    case .bearerRequired, .localOnly, .webPage, .strangeHost:
      Words(
        "Where the request comes from, and `WCH_HTTP_BEARER_FILE` at the daemon.",
        "请求从哪里来，以及守护进程的 `WCH_HTTP_BEARER_FILE`。")
    case .tooManyPages:
      Words(
        "`wechat_token_http_requests_total`: who asks for pages so often.",
        "`wechat_token_http_requests_total`：谁在频繁请求页面。")
    case .badRequest, .badAccount, .badBody, .noSuchPath, .noSuchAccount, .methodNotAllowed,
      .requestTimeout, .bodyTooLong, .targetTooLong, .headersTooLong, .unknownCoding,
      .unknownVersion:
      Words(
        "The request, and `/openapi.json`, which describes what is taken.",
        "请求本身，以及描述接口的 `/openapi.json`。")
    }
  }

  /// What to do.
  var remedy: Words {
    switch self {
    case .badRequest, .unknownCoding, .unknownVersion:
      Words(
        "Ask with an ordinary HTTP/1.1 client, and with the scheme that the daemon listens with.",
        "使用普通的 HTTP/1.1 客户端，并使用与监听一致的协议（http 或 https）。")
    case .badAccount, .noSuchAccount:
      Words("Give a name that `/v1/status` lists.", "使用 `/v1/status` 中列出的名称。")
    case .badBody:
      Words(
        "Send one of the three, and `account` when a named account is forced.",
        "三者取一；强制刷新命名帐号时再加 `account`。")
    case .bearerRequired:
      Words(
        "Send `Authorization: Bearer …` with the text of the daemon's bearer file.",
        "发送 `Authorization: Bearer …`，内容为守护进程 bearer 文件中的文本。")
    case .localOnly, .webPage, .strangeHost:
      Words(
        "Set `WCH_HTTP_BEARER_FILE`, or ask for `http://127.0.0.1` from the same host.",
        "设置 `WCH_HTTP_BEARER_FILE`，或在同一主机上访问 `http://127.0.0.1`。")
    case .noSuchPath, .methodNotAllowed:
      Words("Correct path or method.", "更正路径或方法。")
    case .requestTimeout, .bodyTooLong, .targetTooLong, .headersTooLong:
      Words(
        "Send less, and at once; look at proxies that add headers.",
        "减少并一次发完；检查添加请求头的代理。")
    case .notAlive:
      Words("Let it be started again; keep its log.", "重启该进程，并保留日志。")
    case .notReady, .tokenUnavailable:
      Words(
        "Follow the entry of the condition that is named; `Retry-After` says when to ask again.",
        "按所示状况的条目处理；`Retry-After` 指出何时再试。")
    case .notStarted: Words("Wait for some seconds.", "等待数秒。")
    case .refreshUnavailable:
      Words(
        """
        Read the key until it differs; the report counts all the same. Follow the entry of the \
        condition or errcode that is named.
        """,
        "继续读键直到值变化，报告依然有效。按所示状况或错误码的条目处理。")
    case .tooManyPages:
      Words("Ask again after a second, and scrape less often.", "一秒后重试，并降低抓取频率。")
    }
  }
}
