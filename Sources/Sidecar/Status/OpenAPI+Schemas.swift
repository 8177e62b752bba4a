extension OpenAPI {
  /// The shapes of what is sent, by name.
  static let schemas: [String: Schema] = [
    "Status": status, "Redis": redis, "Connection": connection, "Sentinel": sentinel, "Node": node,
    "WeChat": weChat,
    "Account": account, "Failure": failure, "Condition": condition, "Facts": facts,
    "Words": words, "Replica": replica, "Health": health,
    "Readiness": readiness, "ReadinessCondition": readinessCondition, "Token": token,
    "RefreshRequest": refreshRequest, "Refresh": refresh, "RefreshLimited": refreshLimited,
    "Problem": problem,
  ]

  private static let second = "in Unix seconds"
  private static let accountName =
    "The account, or its ticket as `NAME/jsapi_ticket`; the unnamed account is `default`."

  // MARK: Status

  private static let status = Schema.object([
    "api_version": .constant(version, "The version of this object; members are added within it."),
    "instance": .string("The replica that answers."),
    "version": .string("The program's version."),
    "started_at": .integer("When this replica started, \(second)."),
    "now": .integer("When the object was made, \(second)."),
    "uptime_seconds": .integer("Seconds since the start.", minimum: 0),
    "role": .oneOf(
      StatusSnapshot.Role.allCases.map(\.rawValue), "What this replica is at the moment."),
    "leader": .string("The leading replica; null while none is known.").orNull,
    "epoch": .integer("The highest epoch that was seen.").orNull,
    "ticks": .integer("How often the timer has run.", minimum: 0),
    "refreshes_ok": .integer("Fetches of this replica that brought a token.", minimum: 0),
    "refreshes_failed": .integer("Fetches of this replica that did not.", minimum: 0),
    "redis": .named("Redis"), "wechat": .named("WeChat"),
    "accounts": .list(of: .named("Account")),
    "conditions": .list(of: .named("Condition"), "Everything that is wrong, worst first."),
    "fleet": .list(of: .named("Replica"), "The other replicas, as they said last."),
  ])

  private static let redis = Schema.object([
    "connected": .boolean("Whether Redis answers."),
    "run_id": .string("Redis's run id; null when it is not told.").orNull,
    "last_error": .string("What went wrong last.").orNull,
    "connections": .list(of: .named("Connection")),
    "primary": .string(
      "Where the primary is, as the sentinels said last; null without sentinels."
    ).orNull,
    "primary_moved_at": .integer(
      "When they last named another one than before, \(second)."
    ).orNull,
    "sentinels": .list(of: .named("Sentinel"), "What each sentinel said last."),
    "nodes": .list(
      of: .named("Node"), "The nodes of a Redis Cluster that serve the slots used here."),
  ])

  private static let node = Schema.object([
    "address": .string(),
    "slots": .list(of: .integer("A slot of ours.", minimum: 0), "Those of ours."),
  ])

  private static let sentinel = Schema.object([
    "address": .string(),
    "names": .string("The primary that it names; null when it names none.").orNull,
    "said": .string("The same, or what went wrong, in words."),
  ])

  private static let connection = Schema.object([
    "name": .oneOf(RedisLink.allCases.map(\.rawValue)), "connected": .boolean(),
    "since": .integer(
      "Since when it is connected, or is not, \(second); null while none is wanted."
    ).orNull,
    "last_error": .string().orNull,
    "reconnects": .integer("How often it was made anew.", minimum: 0),
  ])

  private static let weChat = Schema.object([
    "clock_skew_seconds": .integer(
      "How far WeChat's clock is ahead of this machine's; null on a replica that has not asked."
    ).orNull
  ])

  private static let account = Schema.object([
    "account": .string(accountName),
    "token_present": .boolean("Whether an unexpired token is in Redis, as far as is known here."),
    "expires_at": .integer("When clients stop trusting it, \(second).").orNull,
    "remaining_seconds": .integer("Seconds to it; negative when it has passed.").orNull,
    "refreshes_ok": .integer(minimum: 0), "refreshes_failed": .integer(minimum: 0),
    "last_failure": Schema.named("Failure").orNull,
    "next_refresh_at": .integer("When the leader fetches next, \(second).").orNull,
    "phase": .string("The keeper's state in a word."),
    "fetched_by": .string("The replica that fetched the token.").orNull,
  ])

  private static let failure = Schema.object([
    "errcode": .integer("WeChat's code, when there was one.").orNull, "reason": .string(),
    "rid": .string("WeChat's request id.").orNull, "at": .integer("When it was, \(second)."),
  ])

  private static let condition = Schema.object([
    "id": .oneOf(Condition.Kind.allCases.map(\.rawValue), "What is wrong; in the runbook."),
    "severity": .oneOf(Condition.Severity.allCases.map(\.rawValue), "Mildest first."),
    "account": .string("The account; null for the whole replica.").orNull,
    "since": .integer("Since when, \(second)."), "sentence": .named("Words"),
    "remedy": .named("Words"),
    "observer": .string("The replica that saw it, when this one only heard of it.").orNull,
    "help": .string("The anchor in `\(StatusRoute.runbook.path)`."), "facts": .named("Facts"),
  ])

  private static let facts = Schema.object([
    "errcode": .integer("WeChat's code.").orNull, "reason": .string().orNull,
    "rid": .string("WeChat's request id.").orNull,
    "address": .string("The address that WeChat saw.").orNull,
    "count": .integer("How often in a row, or lately.").orNull,
    "last_at": .integer("The last time, \(second).").orNull,
    "next_attempt_at": .integer("When it is tried again, \(second).").orNull,
    "ends_at": .integer("When the key ends, or ended, \(second).").orNull,
    "instance": .string("The replica that it is about.").orNull,
    "subject": .string("The connection, file or key that it is about.").orNull,
    "cause": .string("The id of the condition that it comes from.").orNull,
  ])

  private static let words = Schema.object(
    ["en": .string(), "zh": .string()], "A text in both languages.")

  private static let replica = Schema.object([
    "instance": .string(), "leads": .boolean(),
    "seen_seconds_ago": .integer("How long ago it said that it lives.", minimum: 0),
    "version": .string().orNull, "started_at": .integer("In Unix seconds.").orNull,
    "conditions": .list(of: .string(), "The ids of what is wrong there.").orNull,
  ])

  // MARK: Answers

  private static let health = Schema.object([
    "status": .oneOf(["ok"]), "detail": .string("In words."),
  ])

  private static let degraded = Schema.list(
    of: .string(), "The accounts of which nobody should read a token here.")
  private static let missing = Schema.list(
    of: .named("ReadinessCondition"), "What is wrong with what was asked about, worst first.")

  private static let readiness = Schema.object([
    "status": .oneOf(["ok", "degraded"]), "detail": .string("In words."), "degraded": degraded,
    "conditions": missing,
  ])

  private static let readinessCondition = Schema.object([
    "id": .oneOf(Condition.Kind.allCases.map(\.rawValue)),
    "severity": .oneOf(Condition.Severity.allCases.map(\.rawValue)),
    "account": .string().orNull, "since": .integer("In Unix seconds."), "sentence": .string(),
    "remedy": .string(), "help": .string("The anchor in `\(StatusRoute.runbook.path)`."),
  ])

  private static let token = Schema.object([
    "account": .string(accountName), "access_token": .string(),
    "expires_at": .integer("When to stop trusting it, \(second), as `WCH_expires_in`."),
    "expires_in": .integer("Seconds to it.", minimum: 0),
  ])

  private static let namedAccount = Schema.string(
    "The account; a rejected token tells it by itself.", pattern: StatusRoute.credentialPattern)
  private static let rejectedToken = Schema.string(
    "The token that WeChat refused.", pattern: "^[!-~]+$"
  ).length(1...RefreshBody.longestToken)
  private static let rejectedDigest = Schema.string(
    "Its SHA-256 in hexadecimal.", pattern: "^[0-9A-Fa-f]{64}$")

  private static let refreshRequest = Schema.object(
    [
      "account": namedAccount.orNull, "rejected_token": rejectedToken.orNull,
      "rejected_sha256": rejectedDigest.orNull,
      "force": Schema.boolean("A person wants another token.").orNull,
    ], optional: ["account", "rejected_token", "rejected_sha256", "force"],
    "Which token is of no use any more: one of the three."
  ).closed.andAny(of: [
    .object(["rejected_token": rejectedToken]), .object(["rejected_sha256": rejectedDigest]),
    .object(["force": .certainly("A person wants another token.")]),
  ]).andNot(.object(["rejected_token": .string(), "rejected_sha256": .string()]))

  private static let refresh = Schema.object(
    [
      "outcome": .oneOf(
        ["refreshed", "current", "coalesced"],
        """
        A token was fetched for this request; or the reported one is not the current one: read \
        the key again; or another request's fetch served this one, too.
        """),
      "account": .string(accountName),
      "expires_at": .integer("As `WCH_expires_in`.").orNull,
    ], optional: ["expires_at"])

  private static let refreshLimited = Schema.object([
    "outcome": .oneOf(["limited"]), "account": .string(accountName),
    "retry_after": .integer("Seconds until it is served.", minimum: 1), "reason": .string(),
  ])

  private static let problem = Schema.object(
    [
      "type": .oneOf(
        Problem.allCases.map(\.type), "A reference into the runbook of the replica that answers."),
      "title": .string(), "status": .integer(minimum: 400), "detail": .string(),
      "instance": .string("The path that was asked for."),
      "condition": .oneOf(
        Condition.Kind.allCases.map(\.rawValue), "The condition that it comes from."),
      "help": .string("The entry of the runbook that says most about it."),
      "errcode": .integer("WeChat's code, when it is what is the matter."),
      "degraded": degraded, "conditions": missing,
    ],
    optional: ["instance", "condition", "help", "errcode", "degraded", "conditions"],
    "A refusal (RFC 9457).")
}
