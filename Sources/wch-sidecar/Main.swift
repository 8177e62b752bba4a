import ArgumentParser
import Glibc
import Sidecar

/// The program: its verbs, and the one exit for each kind of end.
@main
struct Main {
  static func main() async {
    // Before anything else: a SIGTERM in the first milliseconds is an orderly end, too. Nothing
    // has been begun that could be left half done.
    EarlySignals.endInOrder()
    do {
      var command = try Root.parseAsRoot()
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        try command.run()
      }
    } catch let error as Failure {
      StandardError.write(error.message)
      exit(error.code.rawValue)
    } catch {
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
      them.
      """,
    version: Version.current,
    subcommands: [
      Run.self, Demo.self, OnceCommand.self, Check.self, Status.self, Health.self,
      SimulateWeChat.self,
    ],
    defaultSubcommand: Run.self)
}

/// The exit codes of DESIGN section 5.2.
enum ExitStatus: Int32 {
  case failed = 1
  case usage = 64
  case unreachable = 69
  case timedOut = 75
  case refused = 77
  case misconfigured = 78
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

/// SIGTERM and SIGINT before the daemon listens for them itself.
enum EarlySignals {
  /// Ends the process with 0 at once; whoever has begun something must replace this first.
  static func endInOrder() {
    signal(SIGTERM) { _ in _exit(0) }
    signal(SIGINT) { _ in _exit(0) }
    // A reader that goes away is an error of the write, not the end of the process.
    signal(SIGPIPE, SIG_IGN)
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
