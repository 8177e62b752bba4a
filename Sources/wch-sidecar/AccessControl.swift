import ArgumentParser
import Sidecar

/// `acl`: the rights that Redis users need.
struct AccessControl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "acl",
    abstract: "Print the Redis rights of a replica, or of an application that reads (--reader).",
    discussion: """
      One line for redis-cli, of a user whose name and password are yours to set; Redis 7 or \
      later. It asks nobody: the key prefix of the settings is all that it needs.
      """)

  @Flag(help: "The rights of an application: read the token, report it, listen.")
  var reader = false

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  func run() throws {
    var flags = VerbFlags("acl", flags)
    let isReader = try flags.take("--reader") || reader
    let settings = try Setup.load(flags, requiresAccount: false).0
    let rules = AccessRules(layout: KeyLayout(prefix: settings.redis.keyPrefix))
    print(
      isReader
        ? "ACL SETUSER wch-reader on >PASSWORD \(rules.reader)"
        : "ACL SETUSER wch-sidecar on >PASSWORD \(rules.replica)")
  }
}
