package import TokenCore

/// One documented metric: its name, kind, labels and meaning.
package struct MetricFamily: Hashable, Sendable {
  /// How a metric behaves.
  package enum Kind: Hashable, Sendable {
    /// Only grows.
    case counter
    /// Goes up and down.
    case gauge
    /// Counts observations below each of the bounds, in ascending order.
    case histogram(buckets: [Double])

    /// The word in the exposition.
    package var word: String {
      switch self {
      case .counter: "counter"
      case .gauge: "gauge"
      case .histogram: "histogram"
      }
    }
  }

  package let name: String
  package let kind: Kind
  /// In the order in which they are written.
  package let labels: [String]
  /// One sentence for people.
  package let help: String

  package init(_ name: String, _ kind: Kind, labels: [String] = [], _ help: String) {
    self.name = name
    self.kind = kind
    self.labels = labels
    self.help = help
  }
}

extension MetricFamily {
  /// A call to WeChat takes 50 ms to its timeout of 5 s.
  private static let upstreamBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
  /// A program that takes tokens may take ten seconds, and two more to end.
  private static let hookBuckets = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 15]
  /// A Redis command takes a fraction of a millisecond to its timeout of 1.5 s.
  private static let redisBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 1.5]

  package static let valid = MetricFamily(
    "wechat_token_valid", .gauge, labels: ["account"],
    "1 while this replica knows a token that has not expired, 0 otherwise.")
  package static let expiration = MetricFamily(
    "wechat_token_expiration_timestamp_seconds", .gauge, labels: ["account"],
    "Unix second at which clients stop trusting the token; 0 while none is known.")
  package static let refreshes = MetricFamily(
    "wechat_token_refreshes_total", .counter, labels: ["account", "trigger", "result"],
    "Fetches of a token, by why they were made and what came of them.")
  package static let refreshDuration = MetricFamily(
    "wechat_token_refresh_duration_seconds", .histogram(buckets: upstreamBuckets),
    labels: ["account"], "How long a fetch took, from asking WeChat to the stored token.")
  package static let upstreamRequests = MetricFamily(
    "wechat_token_upstream_requests_total", .counter, labels: ["account", "endpoint", "errcode"],
    "Calls to WeChat by endpoint and errcode (0 is success, `none`: no errcode).")
  package static let consecutiveFailures = MetricFamily(
    "wechat_token_consecutive_failures", .gauge, labels: ["account"],
    "Fetches that failed in a row, as the leader counts them and tells the others; else 0.")
  package static let refreshRequests = MetricFamily(
    "wechat_token_refresh_requests_total", .counter, labels: ["outcome"],
    "Requests of applications to refresh, by what became of them.")
  package static let leaderStatus = MetricFamily(
    "wechat_token_leader_status", .gauge, "1 on the replica that leads, 0 on the others.")
  package static let leaderTransitions = MetricFamily(
    "wechat_token_leader_transitions_total", .counter,
    "How often this replica began or stopped to lead.")
  package static let nextRefresh = MetricFamily(
    "wechat_token_next_refresh_timestamp_seconds", .gauge, labels: ["account"],
    "Unix second of the next planned fetch; 0 on replicas that plan none.")
  package static let refreshDue = MetricFamily(
    "wechat_token_refresh_due_timestamp_seconds", .gauge, labels: ["account"],
    "Unix second at which the token is to be replaced, however often that fails; 0 without one.")
  package static let foreignRefreshes = MetricFamily(
    "wechat_token_foreign_refreshes_total", .counter, labels: ["account"],
    "Tokens reported or proved dead before their time; two in six hours: somebody else fetches.")
  package static let foreignWrites = MetricFamily(
    "wechat_token_foreign_writes_total", .counter, labels: ["account", "layout"],
    "Writes of somebody else to keys that are kept for other software: it fetches for itself.")
  package static let fileWrites = MetricFamily(
    "wechat_token_file_writes_total", .counter, labels: ["account", "result"],
    "Files that were written with the token (`ok`), put back (`restored`), or could not be "
      + "(`error`).")
  package static let hookRuns = MetricFamily(
    "wechat_token_hook_runs_total", .counter, labels: ["account", "result"],
    "Runs of the program that takes the token or ticket, by how they ended.")
  package static let hookDuration = MetricFamily(
    "wechat_token_hook_duration_seconds", .histogram(buckets: hookBuckets), labels: ["account"],
    "How long these runs took.")
  package static let fencingEpoch = MetricFamily(
    "wechat_token_fencing_epoch", .gauge, "The highest epoch that this replica has seen.")
  package static let condition = MetricFamily(
    "wechat_token_condition", .gauge, labels: ["condition", "account", "errcode"],
    "What is wrong, of `/v1/status`: 0 nothing, 1 notice, 2 warning, 3 error, 4 critical; "
      + "of `refresh_failing` with WeChat's errcode, where it gave one.")
  package static let redisUp = MetricFamily(
    "wechat_token_redis_up", .gauge, "1 while Redis answers, 0 otherwise.")
  package static let redisConnectionUp = MetricFamily(
    "wechat_token_redis_connection_up", .gauge, labels: ["connection"],
    "1 while that connection stands and serves: `commands`, `events`, or the leader's `reports` "
      + "(0 elsewhere, and while Redis refuses BLPOP).")
  package static let redisCommands = MetricFamily(
    "wechat_token_redis_commands_total", .counter, labels: ["command", "result"],
    "Redis commands and scripts by result.")
  package static let redisCommandDuration = MetricFamily(
    "wechat_token_redis_command_duration_seconds", .histogram(buckets: redisBuckets),
    "How long Redis commands took.")
  package static let redisReconnects = MetricFamily(
    "wechat_token_redis_reconnects_total", .counter, "Connections to Redis that were made anew.")
  package static let httpRequests = MetricFamily(
    "wechat_token_http_requests_total", .counter, labels: ["route", "method", "code"],
    "Requests to this replica's HTTP interface.")
  package static let buildInfo = MetricFamily(
    "wechat_token_build_info", .gauge, labels: ["version"], "Always 1; the label tells the version."
  )

  package static let processCPU = MetricFamily(
    "process_cpu_seconds_total", .counter, "User and system CPU time spent, in seconds.")
  package static let processOpenFiles = MetricFamily(
    "process_open_fds", .gauge, "Open file descriptors.")
  package static let processMaxFiles = MetricFamily(
    "process_max_fds", .gauge, "The most file descriptors that may be open.")
  package static let processVirtualMemory = MetricFamily(
    "process_virtual_memory_bytes", .gauge, "Virtual memory size in bytes.")
  package static let processResidentMemory = MetricFamily(
    "process_resident_memory_bytes", .gauge, "Resident memory size in bytes.")
  package static let processStart = MetricFamily(
    "process_start_time_seconds", .gauge, "Unix second at which the process started.")

  /// The metrics of the daemon itself; the documentation lists exactly these and the process's.
  package static let daemon: [MetricFamily] = [
    valid, expiration, refreshes, refreshDuration, upstreamRequests, consecutiveFailures,
    refreshRequests, leaderStatus, leaderTransitions, nextRefresh, refreshDue, foreignRefreshes,
    foreignWrites, fileWrites, hookRuns, hookDuration, fencingEpoch, condition, redisUp,
    redisConnectionUp, redisCommands,
    redisCommandDuration, redisReconnects, httpRequests, buildInfo,
  ]

  /// The standard metrics of a process.
  package static let process: [MetricFamily] = [
    processCPU, processOpenFiles, processMaxFiles, processVirtualMemory, processResidentMemory,
    processStart,
  ]

  /// Every documented metric, in the order of the exposition.
  package static let table = daemon + process
}

/// The label values that are known before anything happens (Metrics.md#the-metrics).
package enum MetricLabels {
  package static let triggers = [
    "schedule", "start", "takeover", "report", "force", "probe", "doubt",
  ]
  package static let results = ["ok", "unchanged", "error", "unknown", "deposed"]
  package static let refreshOutcomes = [
    "refreshed", "current", "coalesced", "limited", "ignored", "oversized",
  ]
  package static let endpoints = [
    "token", "stable_token", "quota", "gettoken", "domain_ip", "getticket", "get_jsapi_ticket",
    "ticket_get",
  ]
  /// Where a credential of that kind is asked for, and proved.
  package static func endpoints(of kind: CredentialID.Kind, _ api: API) -> [String] {
    switch Question(isWeCom: api.isWeCom, kind) {
    case .token: ["token", "stable_token", "quota"]
    case .corpToken: ["gettoken", "domain_ip"]
    case .ticket, .corpTicket: [endpoint(ofPath: api.ticketPath(kind))]
    }
  }
  /// What WeChat answers is a code of its own; these two every call can come to.
  package static let errorCodes = ["0", "none"]
  package static let commandResults = ["ok", "error"]
  static let fileResults = ["ok", "restored", "error"]
  static let hookResults = ["ok", "error", "timeout", "unstarted", "stopped"]
  /// What can be wrong with a whole replica; what can be wrong with an account has its label, and
  /// is there once it has happened.
  package static let conditions = Condition.Kind.allCases.filter(\.isOfReplica).map(\.rawValue)
  package static let connections = RedisLink.allCases.map(\.rawValue)

  /// The label `endpoint` of a call to that path of WeChat.
  ///
  /// A path that is none of these is its own label: it would be missed under another one's.
  package static func endpoint(ofPath path: String) -> String {
    switch path {
    case "/cgi-bin/token": "token"
    case "/cgi-bin/stable_token": "stable_token"
    case "/cgi-bin/openapi/quota/get": "quota"
    case "/cgi-bin/gettoken": "gettoken"
    case "/cgi-bin/get_api_domain_ip": "domain_ip"
    case "/cgi-bin/ticket/getticket": "getticket"
    case "/cgi-bin/get_jsapi_ticket": "get_jsapi_ticket"
    case "/cgi-bin/ticket/get": "ticket_get"
    default: path
    }
  }
}
