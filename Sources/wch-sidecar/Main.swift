import ArgumentParser
import CEarlySignals
import Glibc
import Sidecar

/// The program: its verbs, and the one exit for each kind of end.
@main
struct Main {
  /// Whoever checks health takes other codes than 0 and 1 for a broken check.
  private static var isHealth: Bool { CommandLine.arguments.dropFirst().first == "health" }

  static func main() async {
    // Done before the Swift runtime started, where the platform allows it; here for the others.
    early_signals_end_in_order()
    if let verb = Root.verbAskedForHelp(CommandLine.arguments) {
      print(Root.helpMessage(for: verb))
      if verb == Run.self { print("\nSETTINGS:\n" + Settings.help(width: StandardOutput.width)) }
      return
    }
    do {
      let words = Array(CommandLine.arguments.dropFirst())
      var command = try Root.parseAsRoot(Root.sorted(words))
      // To what holds a lock in Redis a hang-up is a word about its log file.
      if !(command is Run || command is OnceCommand) { early_signals_hang_up_as_before() }
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let error as Failure {
      StandardError.write(error.message)
      exit((isHealth ? .failed : error.code).rawValue)
    } catch {
      if isHealth, Root.exitCode(for: error) != .success {
        StandardError.write(Root.fullMessage(for: error))
        exit(ExitStatus.failed.rawValue)
      }
      Root.exit(withError: error)
    }
  }
}

/// The verbs.
struct Root: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "wch-sidecar",
    abstract: "Keeps one live WeChat access_token in Redis for all pods.",
    discussion: """
      Replicas elect one leader in Redis; only the leader asks WeChat. Applications read the keys \
      WCH_access_token and WCH_expires_in. Settings come from flags, from WCH_… environment \
      variables and from a JSON5 file (--config), in this order; `wch-sidecar run --help` lists \
      them. Verbs that ask a running daemon (status, health, wait, token, refresh) need its \
      address and bearer only. `wch-sidecar manual` prints all of this as a manual page, with the \
      exit codes.
      """,
    version: Version.current,
    subcommands: [
      Run.self, Demo.self, OnceCommand.self, Check.self, Status.self, Health.self, Wait.self,
      Token.self, Refresh.self, AccessControl.self, SimulateWeChat.self, Completion.self,
      Manual.self,
    ],
    defaultSubcommand: Run.self)

  /// The verb whose help is asked for.
  ///
  /// Verbs pass settings through, and would pass `--help` with them.
  static func verbAskedForHelp(_ arguments: [String]) -> (any ParsableCommand.Type)? {
    let words = arguments.dropFirst()
    guard words.contains("--help") || words.contains("-h") else { return nil }
    return configuration.subcommands.first { $0._commandName == words.first }
  }
}

/// An end that is not a success: what to print on stderr, and the exit code.
struct Failure: Error {
  let code: ExitStatus
  let message: String

  init(_ code: ExitStatus, _ message: String) {
    self.code = code
    self.message = message
  }
}

/// Messages for people, beside the logs.
enum StandardError {
  static func write(_ message: String) {
    let line = Array((message + "\n").utf8)
    var written = 0
    while written < line.count {
      let count = unsafe line.withUnsafeBytes { bytes in
        unsafe Glibc.write(STDERR_FILENO, bytes.baseAddress! + written, bytes.count - written)
      }
      if count <= 0 { return }
      written += count
    }
  }
}
