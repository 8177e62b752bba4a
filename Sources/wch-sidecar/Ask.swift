import ArgumentParser
import FoundationEssentials
import Glibc
import Sidecar
import TokenCore

/// The daemon's answers, for the verbs that ask it.
struct DaemonQuestion {
  private let verb: String
  private let client: DaemonClient

  /// For the daemon of the settings that follow a verb as flags.
  init(_ verb: String, _ flags: VerbFlags) throws {
    self.verb = verb
    client = DaemonClient(settings: try Setup.load(flags, requiresAccount: false).0)
  }

  /// What a success holds, and its body as it came.
  ///
  /// - Parameter limit: for the whole question; nil takes the client's own.
  /// - Throws: `Failure` with the daemon's own reason otherwise.
  func ask<Content: Decodable>(
    _ path: String, method: String = "GET", body: String? = nil, within limit: Duration? = nil,
    as: Content.Type = Content.self
  ) async throws -> (content: Content, body: String) {
    let answer: DaemonClient.Answer
    do throws(DaemonClient.Unreachable) {
      answer = try await client.request(path, method: method, body: body, within: limit)
    } catch {
      throw Failure(.unreachable, "wch-sidecar \(verb): \(error)")
    }
    guard answer.status == 200 else { throw refusal(answer) }
    guard let content = try? JSONDecoder().decode(Content.self, from: Data(answer.body.utf8))
    else { throw stranger(answer) }
    return (content, answer.body)
  }

  /// Why the daemon refuses.
  private func refusal(_ answer: DaemonClient.Answer) -> Failure {
    struct Refusal: Decodable {
      var detail: String?
      var outcome: String?
      var reason: String?
      var retry_after: Int64?
      var errcode: Int?
    }
    guard let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(answer.body.utf8)),
      let text = refusal.detail ?? refusal.reason
    else { return stranger(answer) }
    let outcome = refusal.outcome.map { "\($0): " } ?? ""
    let wait = refusal.retry_after.map { " (again in \($0) s)" } ?? ""
    let isRefused = refusal.errcode.map { WeChatError.row($0).needsPeople } ?? false
    return Failure(
      isRefused ? .refused : .failed, "wch-sidecar \(verb): \(outcome)\(text)\(wait)")
  }

  /// Another program has the address.
  private func stranger(_ answer: DaemonClient.Answer) -> Failure {
    Failure(
      .unreachable,
      "wch-sidecar \(verb): what answers at \(client.listen) (with status \(answer.status)) is"
        + " not wch-sidecar, or another version of it; give the httpListen of `wch-sidecar run`")
  }
}

extension WeChatError {
  /// Whether WeChat refuses the credentials, the account or the address, until people act.
  fileprivate var needsPeople: Bool {
    switch category {
    case .configuration, .operator: true
    case .transient, .rate, .quota: false
    }
  }
}

/// What a check that passes says.
private struct HealthContent: Decodable {
  var status: String
  var detail: String
}

/// `health`: one check of a running daemon, for containers without a shell.
struct Health: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Ask the running daemon whether it is ready (or --live): exit 0 or 1.")

  @Flag(help: "Whether the loop ticks, instead of whether a live token is there.")
  var live = false

  @Flag(help: "Whether a live token is there (the default).")
  var ready = false

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() async throws {
    do {
      var flags = VerbFlags("health", flags)
      let isLive = try flags.take("--live") || live
      _ = try flags.take("--ready")
      _ = try await DaemonQuestion("health", flags)
        .ask(isLive ? "/livez" : "/readyz", as: HealthContent.self)
    } catch let error as Failure {
      throw Failure(.failed, error.message)
    }
  }
}

/// `wait`: until a live token is there.
struct Wait: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Wait until the daemon is up and a live token is there.",
    discussion: "For start scripts and init containers. Exit codes: 0 it is there, 75 it is not.")

  @Option(help: "How long to wait: 500ms, 30s, 2m.")
  var max: String = "30s"

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  /// Between two questions: short beside the time in which a daemon starts.
  private static let interval: Duration = .milliseconds(200)
  /// A question is given this much at least: even the shortest wait asks once.
  private static let shortest: Duration = .milliseconds(10)

  func run() async throws {
    var flags = VerbFlags("wait", flags)
    let max = try flags.takeValue(of: "--max") ?? max
    let deadline = ContinuousClock.now + (try Setup.duration(max, flag: "--max"))
    let question = try DaemonQuestion("wait", flags)
    var reason: String?
    while true {
      let granted = Swift.max(deadline - .now, Self.shortest)
      do {
        _ = try await question.ask("/readyz", within: granted, as: HealthContent.self)
        return
      } catch let error as Failure {
        // A last question that was cut short tells less than the one before.
        let told = granted < Self.interval ? reason ?? error.message : error.message
        reason = told
        let left = deadline - .now
        guard left > .zero else { throw Failure(.timedOut, "\(told) (after \(max))") }
        try await Task.sleep(for: min(left, Self.interval))
      }
    }
  }
}

/// `token`: the token that the daemon has in memory.
struct Token: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the token's life; the token itself only with --reveal.")

  @Flag(help: "Print the token, and nothing else.")
  var reveal = false

  @Option(help: "The account's name, when it has one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  private struct Content: Decodable {
    var account: String
    var access_token: String
    var expires_at: Int64
    var expires_in: Int64
  }

  func run() async throws {
    var flags = VerbFlags("token", flags)
    let isRevealed = try flags.take("--reveal") || reveal
    let account = try Setup.account(flags.takeValue(of: "--account") ?? account)
    let content = try await DaemonQuestion("token", flags).ask(
      "/v1/token" + (account.map { "?account=\($0)" } ?? ""), as: Content.self
    ).content
    print(
      isRevealed
        ? content.access_token
        : "\(content.account): to be trusted for \(content.expires_in) s, until the Unix second"
          + " \(content.expires_at)")
  }
}

/// `refresh`: a report of a token that fails, or an order to fetch.
struct Refresh: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Report a token that WeChat refuses, or have a new one fetched (--force).",
    discussion: """
      Waits up to 10 s for the new token. A report of a token that is not the current one changes \
      nothing. Prints the outcome: refreshed, current or coalesced. Within the limits of reports \
      it ends with 1, and the report is served later; with 77 when WeChat refuses the credentials \
      or the address.
      """)

  @Flag(help: "Read the token that WeChat refused from standard input.")
  var rejectedStdin = false

  @Flag(help: "Fetch although the token may be alive.")
  var force = false

  @Option(help: "The account's name, when it has one.")
  var account: String?

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  private struct Order: Encodable {
    var account: String?
    var rejected_token: String?
    var force: Bool?
  }

  private struct Content: Decodable {
    var outcome: String
    var account: String
    var expires_at: Int64?
  }

  func run() async throws {
    var flags = VerbFlags("refresh", flags)
    let isForced = try flags.take("--force") || force
    let isReport = try flags.take("--rejected-stdin") || rejectedStdin
    guard isForced != isReport else {
      throw Failure(
        .usage,
        "wch-sidecar refresh: give --rejected-stdin, with the token that failed on standard input,"
          + " or --force; not both")
    }
    var order = Order(account: try Setup.account(flags.takeValue(of: "--account") ?? account))
    if isReport {
      order.rejected_token = try Self.token(readLine() ?? "")
    } else {
      order.force = true
    }
    let question = try DaemonQuestion("refresh", flags)
    let body = String(decoding: try JSONEncoder().encode(order), as: UTF8.self)
    let content = try await question.ask(
      "/v1/refresh", method: "POST", body: body, as: Content.self
    ).content
    print(
      "\(content.account): \(content.outcome)"
        + (content.expires_at.map { ", to be trusted until the Unix second \($0)" } ?? ""))
  }

  private static func token(_ line: String) throws -> String {
    let token = line.filter { !$0.isWhitespace }
    guard !token.isEmpty else {
      throw Failure(.usage, "wch-sidecar refresh: there is no token on standard input")
    }
    return token
  }
}

/// `status`: what the running daemon knows.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what the running daemon knows, as text or JSON.")

  @Option(help: "text or json.")
  var output: Output = .text

  @Flag(help: "Again every second, until SIGTERM or Ctrl-C.")
  var watch = false

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  enum Output: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  func run() async throws {
    var flags = VerbFlags("status", flags)
    let isWatching = try flags.take("--watch") || watch
    var output = output
    if let text = try flags.takeValue(of: "--output") {
      guard let given = Output(rawValue: text) else {
        throw Failure(.usage, "wch-sidecar status: --output takes text or json, not \"\(text)\"")
      }
      output = given
    }
    let question = try DaemonQuestion("status", flags)
    guard isWatching else { return print(try await Self.show(question, output)) }
    while true {
      let shown: String
      do {
        shown = try await Self.show(question, output)
      } catch let error as Failure {
        // Who watches wants to see it come back.
        shown = error.message
      }
      // A terminal is drawn anew; a file gets one status after the other.
      print((isatty(STDOUT_FILENO) == 1 ? "\u{1b}[H\u{1b}[2J" : "") + shown)
      fflush(nil)
      try await Task.sleep(for: .seconds(1))
    }
  }

  private static func show(_ question: DaemonQuestion, _ output: Output) async throws -> String {
    let (content, body) = try await question.ask("/v1/status", as: StatusText.Content.self)
    return output == .json ? body : StatusText(content).text
  }
}

/// The status in lines for people.
struct StatusText {
  /// `/v1/status`, as far as it is shown.
  struct Content: Decodable {
    struct Account: Decodable {
      var account: String
      var token_present: Bool
      var remaining_seconds: Int64?
      var refreshes_ok: Int64
      var refreshes_failed: Int64
      var phase: String
      var fetched_by: String?
    }
    struct Redis: Decodable {
      var connected: Bool
      var last_error: String?
    }
    var instance: String
    var role: String
    var leader: String?
    var uptime_seconds: Int64
    var ticks: Int64
    var redis: Redis
    var accounts: [Account]
  }

  let text: String

  init(_ content: Content) {
    var lines = [
      "instance  \(content.instance) (\(content.role)), up \(content.uptime_seconds) s,"
        + " \(content.ticks) ticks",
      "leader    \(content.leader ?? "none known")",
      "redis     "
        + (content.redis.connected
          ? "connected" : "not connected: \(content.redis.last_error ?? "unknown")"),
    ]
    for account in content.accounts {
      let life = account.remaining_seconds.map { "\($0) s left" } ?? "no life known"
      lines.append(
        "account   \(account.account): \(account.token_present ? life : "no live token"), "
          + "\(account.phase), refreshes \(account.refreshes_ok) ok, "
          + "\(account.refreshes_failed) failed, fetched by \(account.fetched_by ?? "nobody yet")")
    }
    text = lines.joined(separator: "\n")
  }
}
