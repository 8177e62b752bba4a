import ArgumentParser
import FoundationEssentials
import Sidecar

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
    let path = live || flags.contains("--live") ? "/livez" : "/readyz"
    do {
      let flags = flags.filter { $0 != "--live" && $0 != "--ready" }
      let (settings, _) = try Setup.load(flags, requiresAccount: false)
      let answer = try await DaemonClient(settings: settings).request(path)
      guard answer.status == 200 else { throw Failure(.failed, answer.body) }
    } catch let error as Failure {
      throw Failure(.failed, error.message)
    } catch {
      throw Failure(.failed, "wch-sidecar health: \(error)")
    }
  }
}

/// `status`: what the running daemon knows.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what the running daemon knows, as text or JSON.")

  @Option(help: "text or json.")
  var output: Output = .text

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  enum Output: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  func run() async throws {
    let (settings, _) = try Setup.load(flags, requiresAccount: false)
    let answer: DaemonClient.Answer
    do throws(DaemonClient.Unreachable) {
      answer = try await DaemonClient(settings: settings).request("/v1/status")
    } catch {
      throw Failure(.unreachable, "wch-sidecar status: \(error)")
    }
    guard answer.status == 200 else { throw Failure(.failed, answer.body) }
    switch output {
    case .json: print(answer.body)
    case .text: print(try StatusText(json: answer.body).text)
    }
  }
}

/// The status in lines for people.
struct StatusText {
  private struct Content: Decodable {
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

  init(json: String) throws {
    let content = try JSONDecoder().decode(Content.self, from: Data(json.utf8))
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
