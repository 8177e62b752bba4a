package import Logging

/// What a line of the log is about: every line has one of these names in `event`, and they stay.
///
/// The one table of them; the page Logging of the documentation is compared with it.
package enum LoggedEvent: String, Hashable, Sendable, CaseIterable {
  // What is wrong.
  case conditionBegan = "condition.began"
  case conditionChanged = "condition.changed"
  case conditionWorsened = "condition.worsened"
  case conditionLasts = "condition.lasts"
  case conditionEnded = "condition.ended"
  // The process and its settings.
  case processStarting = "process.starting"
  case processEnded = "process.ended"
  case settingDoubtful = "settings.doubtful"
  case settingsRead = "settings.read"
  case settingsRefused = "settings.refused"
  case accountsChanged = "accounts.changed"
  case logReopened = "log.reopened"
  case logKept = "log.kept"
  case secretReplaced = "secret.replaced"
  case certificateReplaced = "certificate.replaced"
  // Who leads.
  case leadTaken = "lead.taken"
  case leadLost = "lead.lost"
  // Tokens.
  case tokenNew = "token.new"
  case tokenConfirmed = "token.confirmed"
  case tokenKept = "token.kept"
  case tokenRestored = "token.restored"
  case tokenRewritten = "token.rewritten"
  case outputOverwritten = "output.overwritten"
  case tokenShortened = "token.shortened"
  case tokenDeposed = "token.deposed"
  case tokenDied = "token.died"
  case refreshStarted = "refresh.started"
  case refreshFailed = "refresh.failed"
  case addressFamily = "wechat.address_family"
  // Files and programs.
  case fileWritten = "file.written"
  case fileRestored = "file.restored"
  case fileFailed = "file.failed"
  case hookRan = "hook.ran"
  case hookFailed = "hook.failed"
  // Reports.
  case reportJudged = "report.judged"
  case reportsIgnored = "reports.ignored"
  case reportsUnheard = "reports.unheard"
  case reportsRefused = "reports.refused"
  case reportsHeard = "reports.heard"
  case reportsFailed = "reports.failed"
  // Redis.
  case redisConnected = "redis.connected"
  case redisLost = "redis.lost"
  case redisPrimary = "redis.primary"
  case redisNodes = "redis.nodes"
  case redisUnreached = "redis.unreached"
  case redisStepFailed = "redis.step_failed"
  case redisSilence = "redis.silence"
  case redisEvicts = "redis.evicts"
  case redisUnguarded = "redis.unguarded"
  case redisLacks = "redis.lacks"
  case outputForbidden = "output.forbidden"
  case outputAllowed = "output.allowed"
  case outputUnreached = "output.unreached"
  case outputReached = "output.reached"
  case conflictMet = "redis.conflict"
  // The HTTP interface.
  case httpListening = "http.listening"
  case httpFailed = "http.failed"
  case httpLost = "http.lost"
  case httpFewDescriptors = "http.few_descriptors"
  case httpFull = "http.full"
  // Everything else.
  case library = "library"

  /// The levels that it is told at, the usual one first.
  package var levels: [Logger.Level] {
    switch self {
    case .conditionBegan, .conditionChanged, .conditionWorsened, .conditionLasts:
      [.warning, .error, .critical, .info, .debug]
    case .conditionEnded: [.notice, .debug]
    case .processStarting, .processEnded, .accountsChanged, .leadTaken, .addressFamily,
      .certificateReplaced:
      [.notice]
    case .settingDoubtful, .logKept, .tokenDeposed, .outputOverwritten, .reportsIgnored,
      .reportsUnheard, .redisSilence, .redisEvicts, .redisUnguarded,
      .httpFewDescriptors:
      [.warning]
    case .redisLacks: [.warning, .info]
    case .tokenRestored, .tokenRewritten, .tokenShortened, .fileRestored, .hookFailed:
      [.warning, .debug]
    case .settingsRead, .secretReplaced, .logReopened: [.info]
    case .leadLost: [.warning, .notice]
    case .tokenNew, .tokenConfirmed, .tokenKept, .redisConnected, .fileWritten, .hookRan:
      [.info, .debug]
    case .redisPrimary: [.info, .notice]
    case .redisNodes: [.info, .notice, .debug]
    case .httpListening: [.info]
    case .settingsRefused, .fileFailed, .tokenDied, .refreshStarted, .refreshFailed, .reportJudged,
      .reportsRefused, .reportsHeard, .reportsFailed, .redisLost, .redisUnreached,
      .redisStepFailed, .conflictMet, .outputForbidden, .outputAllowed,
      .outputUnreached, .outputReached:
      [.debug]
    case .httpFailed, .httpLost: [.critical]
    case .httpFull: [.error]
    case .library: Logger.Level.allCases
    }
  }

  /// One sentence for the documentation.
  package var meaning: String {
    switch self {
    case .conditionBegan: "Something is wrong; `condition` says what."
    case .conditionChanged: "It is still wrong, for another reason: another `errcode`, say."
    case .conditionWorsened: "It is worse than it was told."
    case .conditionLasts: "It lasts: five minutes have passed since the last line about it."
    case .conditionEnded: "It is over, after `duration_seconds`."
    case .processStarting: "The settings are accepted; nothing has been touched yet."
    case .processEnded: "The lock was given back, and everything is closed."
    case .settingDoubtful: "A setting that works and is unwise; only at the start."
    case .settingsRead:
      "After SIGHUP, or when the file or the directory of accounts changed: what is different, and"
        + " what waits for a restart."
    case .settingsRefused:
      "The same, when they cannot be read: all problems; the condition `settings_stale` is the"
        + " alarm."
    case .accountsChanged:
      "Accounts came or went with the settings; each new one's token follows."
    case .logReopened: "After SIGHUP: lines go to a new file."
    case .logKept: "After SIGHUP: the file cannot be opened, lines go on to the old one."
    case .secretReplaced: "An account that waited has another secret: WeChat is asked at once."
    case .certificateReplaced:
      "The files of the HTTP interface's certificate changed, and are used."
    case .leadTaken: "This replica leads from now on."
    case .leadLost: "It leads no longer, and why."
    case .tokenNew:
      "A new token is in Redis; of those by the schedule there is a line in 90 min at most."
    case .tokenConfirmed: "WeChat gave the same token again (`stable_token`)."
    case .tokenKept: "A new leader found a live token, and keeps it."
    case .outputOverwritten:
      "Other software has written to a key that is kept for it: it fetches for itself."
    case .tokenRestored: "Somebody else removed or changed the keys; they are back."
    case .tokenRewritten: "Redis had lost the last write; it was made again."
    case .tokenShortened: "A fetch without an answer may have replaced the token."
    case .tokenDeposed: "A token came after the lead was lost; the next leader replaces it."
    case .tokenDied: "A report or the probe found the token dead before its time."
    case .refreshStarted: "WeChat is asked."
    case .refreshFailed: "One attempt failed; the condition `refresh_failing` is the alarm."
    case .addressFamily: "One family of this machine's addresses is refused; the other is used."
    case .fileWritten: "A file has the token; a line an account in 90 min at most."
    case .fileRestored: "A file was missing, or somebody else had changed it; it is back."
    case .fileFailed:
      "One attempt to write a file failed; the condition `file_unwritten` is the alarm."
    case .hookRan:
      "A program has taken the token; `hook.output` is what it printed, without the token."
    case .hookFailed:
      "One run failed, and what it printed; the condition `hook_failing` is the alarm."
    case .reportJudged: "What became of an application's report."
    case .reportsIgnored: "Something on the list of reports was not understood; once an hour."
    case .reportsUnheard: "Redis does not let this replica read the list of reports."
    case .reportsRefused:
      "Redis, or a proxy before it, does not take BLPOP; `connection_lame` is the condition."
    case .reportsHeard: "BLPOP works again."
    case .reportsFailed: "One look at the list of reports failed."
    case .redisConnected: "Redis is connected, for the first time or again."
    case .redisLost: "The connection ended; the condition `redis_away` or another is the alarm."
    case .redisPrimary: "Sentinels name the primary, for the first time or another than before."
    case .redisNodes: "Nodes of a cluster serve our slots, as known first, or others than before."
    case .redisUnreached: "One attempt to connect failed."
    case .redisStepFailed: "One step at Redis failed, and is tried again."
    case .redisSilence: "Redis or a proxy closes silent connections; they are kept open by PINGs."
    case .redisEvicts: "Redis may evict the lock when its memory is full."
    case .redisUnguarded:
      "Redis has replicas, and is of a version whose scripts do not heed `min-replicas-to-write`."
    case .redisLacks:
      "Redis, or a proxy before it, does not take a command; what is done instead, once a command."
    case .outputForbidden:
      "The ACL forbids a key beside the token; the condition `output_forbidden` is the alarm."
    case .outputAllowed: "Such a key may be written again, and is."
    case .outputUnreached:
      "A key in another slot than the token could not be read or written; once, until it can be."
    case .outputReached: "Such a key is read and written again."
    case .conflictMet:
      "Another AppID's or a newer version's keys, an endless lock or a shared name was met."
    case .httpListening: "The HTTP interface takes requests."
    case .httpFailed: "It cannot start; the process ends."
    case .httpLost: "The system closed it; it comes back with the next start."
    case .httpFewDescriptors: "The limit of descriptors leaves room for few connections."
    case .httpFull: "There is no descriptor for a connection; at most once a minute."
    case .library: "A line of a library that the program is built with; `logger` says which."
    }
  }

  /// How many lines of it are told in how long; more go to `debug`, and are counted.
  ///
  /// Nil for what is rare by itself, or bounded elsewhere.
  var allowance: LineBudget.Allowance? {
    switch self {
    case .tokenNew, .tokenConfirmed, .tokenKept, .tokenRestored, .tokenRewritten, .tokenShortened,
      .redisConnected, .redisNodes, .fileRestored, .hookFailed, .hookRan:
      .init(lines: 8, in: .seconds(600))
    case .fileWritten: .init(lines: 1, in: .seconds(5400))
    default: nil
    }
  }
}

extension Logger {
  /// Writes a line about an event, at its usual level or another one of its levels.
  package func tell(
    _ event: LoggedEvent, level: Level? = nil, _ message: @autoclosure () -> Message,
    _ metadata: @autoclosure () -> Metadata = [:]
  ) {
    let level = level ?? event.levels[0]
    assert(event.levels.contains(level), "\(event) is not documented at \(level)")
    guard level >= logLevel else { return }
    var all = metadata()
    all[.event] = "\(event.rawValue)"
    log(level: level, message(), metadata: all)
  }
}
