import Hiredis
import Testing

@Suite("Refusals of a server")
struct RedisServerErrorTests {
  @Test(
    "the first word tells the kind",
    arguments: [
      ("READONLY You can't write against a read only replica.", RedisServerError.Kind.readOnly),
      ("LOADING Redis is loading the dataset in memory", .loading),
      ("OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory),
      ("NOPERM this user has no permissions to run the 'get' command", .noPermission),
      ("NOAUTH Authentication required.", .noAuth), ("WRONGPASS invalid", .wrongPassword),
      ("ERR invalid password", .wrongPassword), ("NOREPLICAS Not enough good", .noReplicas),
      ("MISCONF Redis is configured to save", .misconfigured), ("BUSY Redis is busy", .busy),
      ("MASTERDOWN Link with MASTER is down", .masterDown), ("NOSCRIPT No matching", .noScript),
      ("MOVED 3999 127.0.0.1:6381", .moved), ("ASK 3999 127.0.0.1:6381", .ask),
      ("CROSSSLOT Keys in request", .crossSlot), ("CLUSTERDOWN Hash slot", .clusterDown),
      ("TRYAGAIN Multiple keys request during rehashing of slot", .tryAgain),
      ("WRONGTYPE Operation", .wrongType), ("ERR unknown", .other), ("", .other),
      ("NOPROTO unsupported protocol version", .wrongProtocol),
      ("UNKILLABLE Sorry the script already executed write commands", .unkillable),
      ("DENIED Redis is running in protected mode because", .protectedMode),
      ("ERR max number of clients reached", .tooManyClients),
      ("ERR max number of clients + cluster connections reached", .tooManyClients),
      ("NOAUTH HELLO must be called with the client already authenticated", .noAuth),
      ("ERR unknown command `foo`, with args beginning with: `bar`, ", .unknownCommand),
      ("ERR unknown command 'foo', with args beginning with: 'bar' ", .unknownCommand),
      ("ERR command 'BLPOP' not support for normal user", .unknownCommand),
      ("ERR unsupported command 'CLIENT'", .unknownCommand),
      ("ERR Command not supported", .unknownCommand),
      ("ERR 'EVAL' command keys must in same slot", .crossSlot),
      ("ERR bad lua script for redis cluster, all the keys that the script uses", .crossSlot),
    ])
  func kinds(message: String, kind: RedisServerError.Kind) {
    #expect(RedisServerError(message).kind == kind)
  }

  @Test(
    "what ended a script is told apart, whatever the server puts around it",
    arguments: [
      ("-READONLY You can't write against a read only replica.", RedisServerError.Kind.readOnly),
      ("-OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory),
      ("WRONGTYPE Operation against a key holding the wrong kind of value", .wrongType),
      ("Script attempted to access nonexistent global variable 'READONLY'", .other),
    ])
  func kindsInScripts(refusal: String, kind: RedisServerError.Kind) {
    let script = "ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791):"
    #expect(RedisServerError("\(script) @user_script:1: @user_script: 1: \(refusal)").kind == kind)
    #expect(RedisServerError("\(script) \(refusal)").kind == kind)
    // Without these words of the server's own, it is the text of somebody else.
    #expect(RedisServerError("ERR unknown command, with args: \(refusal)").kind == .unknownCommand)
  }

  @Test(
    "what a message quotes of the command does not show",
    arguments: [
      "ERR unknown command 'AUTH', with args beginning with: 'hunter2' ",
      "ERR unknown command `AUTH`, with args beginning with: `hunter2`, ",
      "ERR Unknown subcommand or wrong number of arguments for 'hunter2'",
    ])
  func quotes(message: String) {
    let error = RedisServerError(message)
    #expect(!"\(error)".contains("hunter2") && "\(error)".hasPrefix("ERR "))
  }

  @Test(
    "what a script may not do, or cannot, is told apart in the words of each version",
    arguments: [
      // 6.2.5
      (
        """
        ERR Error running script (call to f_d6): @user_script:1: @user_script: 1: Unknown Redis \
        command called from Lua script
        """, RedisServerError.Kind.unknownInScript
      ),
      (
        """
        ERR Error running script (call to f_a3): @user_script:1: @user_script: 1: The user \
        executing the script can't run this command or subcommand
        """, .noPermission
      ),
      // 7.0.15
      (
        "ERR Unknown Redis command called from script script: d6, on @user_script:1.",
        .unknownInScript
      ),
      (
        "ERR The user executing the script can't run this command or subcommand script: a3, on",
        .noPermission
      ),
      // Redis 8.2.3 and Valkey 9.1.2
      ("ERR Unknown command called from script script: on @user_script:1.", .unknownInScript),
      ("ERR ACL failure in script: No permissions to access a key script: f2e0", .noPermission),
    ])
  func inScripts(message: String, kind: RedisServerError.Kind) {
    #expect(RedisServerError(message).kind == kind)
  }

  @Test("a message of which nothing more is known shows whole")
  func whole() {
    let message = "NOSCRIPT No matching script. Please use EVAL."
    #expect("\(RedisServerError(message))" == message)
  }

  @Test(
    "every refusal that is known is shown with what it comes from and what helps",
    arguments: RedisServerError.Kind.allCases)
  func advice(kind: RedisServerError.Kind) throws {
    let error = RedisServerError(Self.example(of: kind))
    #expect(error.kind == kind)
    guard let advice = kind.advice else {
      #expect(kind == .noScript || kind == .other, "\(kind) has no advice")
      return
    }
    #expect("\(error)".hasPrefix(error.message.prefix(10)))
    #expect("\(error)".hasSuffix("(\(advice.cause); \(advice.remedy))"))
    // What is cut in a condition must not be what helps.
    #expect("\(error)".utf8.count <= 240, "\(error)")
  }

  /// As servers write it.
  private static func example(of kind: RedisServerError.Kind) -> String {
    switch kind {
    case .readOnly: "READONLY You can't write against a read only replica."
    case .loading: "LOADING Redis is loading the dataset in memory"
    case .outOfMemory: "OOM command not allowed when used memory > 'maxmemory'."
    case .noPermission: "NOPERM this user has no permissions to access one of the keys used"
    case .noAuth: "NOAUTH Authentication required."
    case .wrongPassword: "WRONGPASS invalid username-password pair or user is disabled."
    case .noReplicas: "NOREPLICAS Not enough good replicas to write."
    case .misconfigured:
      """
      MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
      disk. Commands that may modify the data set are disabled, because this instance is configured
      """
    case .busy: "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN"
    case .masterDown:
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
    case .noScript: "NOSCRIPT No matching script."
    case .moved: "MOVED 3999 127.0.0.1:6381"
    case .ask: "ASK 3999 127.0.0.1:6381"
    case .crossSlot: "CROSSSLOT Keys in request don't hash to the same slot"
    case .clusterDown: "CLUSTERDOWN Hash slot not served"
    case .tryAgain: "TRYAGAIN Multiple keys request during rehashing of slot"
    case .wrongType: "WRONGTYPE Operation against a key holding the wrong kind of value"
    case .unknownCommand: "ERR unknown command 'EVALSHA', with args beginning with: 'a' "
    case .unknownInScript: "ERR Unknown Redis command called from script script: d6, on @user"
    case .wrongProtocol: "NOPROTO unsupported protocol version"
    case .tooManyClients: "ERR max number of clients reached"
    case .protectedMode:
      "DENIED Redis is running in protected mode because protected mode is enabled and no password"
    case .unkillable: "UNKILLABLE Sorry the script already executed write commands against the"
    case .other: "ERR syntax error"
    }
  }

  @Test("an unknown command shows its name, where it is one that is given here")
  func unknownName() {
    for message in [
      "ERR unknown command 'EVALSHA', with args beginning with: 'hunter2' ",
      "ERR unknown command `evalsha`, with args beginning with: `hunter2`, ",
      "ERR unsupported command 'EVALSHA'",
    ] {
      let error = RedisServerError(message)
      #expect("\(error)".hasPrefix("ERR un") && "\(error)".contains("command `EVALSHA` ("))
      #expect(!"\(error)".contains("hunter2"))
      #expect(error.refuses("EVALSHA") && !error.refuses("EVAL"))
    }
    // A connection that has lost its place may take a password for a command.
    let lost = RedisServerError("ERR unknown command 'hunter2', with args beginning with: ")
    #expect(lost.unknownCommand == nil && !"\(lost)".contains("hunter2"))
  }

  @Test("a refused script is not taken for a refused way to call it")
  func refusedInside() {
    let inside = RedisServerError(
      "ERR ACL failure in script: User u has no permissions to run the 'hget' command script: a")
    #expect(inside.kind == .noPermission && !inside.refuses("EVALSHA"))
    let outside = RedisServerError(
      "NOPERM this user has no permissions to run the 'evalsha' command")
    #expect(outside.refuses("EVALSHA") && !outside.refuses("EVAL"))
    #expect(!RedisServerError("NOPERM No permissions to access a key").refuses("EVALSHA"))
  }
}
