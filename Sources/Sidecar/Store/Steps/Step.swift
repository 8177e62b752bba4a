import TokenCore

/// The steps of the protocol that are scripts, a file each.
enum Steps {}

/// One step of the protocol: a script in a file of its own, and what it is called with.
///
/// The arguments are named once, in the order in which they are sent: the script has them by
/// these names, as texts, numbers or truths.
struct Step<Command>: Sendable {
  let script: Script
  private let keys: @Sendable (Command, StepContext) -> [String]
  private let arguments: [StepArgument<Command>]
  private let outputs: (@Sendable (Command) -> [Output])?

  /// - Parameters:
  ///   - body: the script's file, which ends with a reply.
  ///   - prelude: the files whose functions it uses.
  ///   - keys: every key that it touches.
  ///   - outputs: what the keys from the second on are to hold: `output(i)` tells the script the
  ///     format and the value of key `i`.
  init(
    _ name: String, _ body: [UInt8], after prelude: [[UInt8]],
    keys: @escaping @Sendable (Command, StepContext) -> [String],
    arguments: [StepArgument<Command>],
    outputs: (@Sendable (Command) -> [Output])? = nil
  ) {
    self.keys = keys
    self.arguments = arguments
    self.outputs = outputs
    var text = StepConstant.lua
    for file in prelude { text += String(decoding: file, as: UTF8.self) }
    if !arguments.isEmpty {
      let values = arguments.enumerated().map { $1.lua(place: $0 + 1) }
      text += "local \(arguments.map(\.name).joined(separator: ", "))\n"
      text += "  = \(values.joined(separator: ", "))\n"
    }
    if outputs != nil {
      // Two arguments for each key from the second on.
      let kind = arguments.count - 3
      text += "local function output(i)\n"
      text += "  return ARGV[2 * i + \(kind)], ARGV[2 * i + \(kind + 1)]\nend\n"
    }
    text += String(decoding: body, as: UTF8.self)
    script = Script(name, text)
  }

  /// The keys and arguments of one call.
  func call(_ command: Command, in context: StepContext) -> (keys: [String], arguments: [String]) {
    (
      keys(command, context),
      arguments.map { $0.value(command, context) } + (outputs?(command) ?? []).flatMap(Self.format)
    )
  }

  private static func format(_ output: Output) -> [String] {
    switch output.format {
    case .token(let token): ["token", token.revealed]
    case .kept: ["kept", ""]
    case .clientExpiry(let margin): ["expiry", margin.text]
    }
  }
}

/// One argument of a step: its name in the script, and what it is in a command.
struct StepArgument<Command>: Sendable {
  let name: String
  let value: @Sendable (Command, StepContext) -> String
  private let read: @Sendable (String) -> String

  /// What the script has under this name: `ARGV` in this place, read as what it is.
  func lua(place: Int) -> String { read("ARGV[\(place)]") }

  /// A text; empty when there is none.
  static func text(
    _ name: String, _ value: @escaping @Sendable (Command, StepContext) -> String
  ) -> Self { Self(name: name, value: value, read: { $0 }) }

  /// A whole number; nil when there is none.
  static func number(
    _ name: String, _ value: @escaping @Sendable (Command, StepContext) -> Int64?
  ) -> Self {
    Self(
      name: name, value: { value($0, $1).map(String.init) ?? "" }, read: { "tonumber(\($0))" })
  }

  /// A duration, in milliseconds; nil when there is none.
  static func milliseconds(
    _ name: String, _ value: @escaping @Sendable (Command) -> Duration?
  ) -> Self { .number(name) { command, _ in value(command)?.wholeMilliseconds } }

  static func flag(_ name: String, _ value: @escaping @Sendable (Command) -> Bool) -> Self {
    Self(
      name: name, value: { command, _ in value(command) ? "1" : "0" }, read: { "\($0) == '1'" })
  }
}

/// What all scripts know.
enum StepConstant {
  /// In milliseconds, but for the layout.
  static let lua = """
    local CERTAIN, STRAGGLING = \(Timing.certain.wholeMilliseconds), \
    \(Timing.straggling.wholeMilliseconds)
    local LOST_WRITES, LAYOUT = \(Timing.lostWrites.wholeMilliseconds), \(Script.layout)

    """
}

/// What steps know of where they are carried out.
struct StepContext: Sendable {
  let layout: KeyLayout
  /// What marks records, and the lock.
  var apps = AppRegister([:])
  /// What this replica tells people with each heartbeat.
  var said: @Sendable () -> String = { "" }

  /// The entries of replicas that were not seen for this long are removed.
  static let replicaMemory: Duration = .seconds(60)

  func app(_ account: AccountName) -> TokenDigest { apps.mark(account) }

  func viewed(_ account: AccountName) -> [String] {
    [layout.state(account), layout.accessToken(account), layout.expiresIn(account)]
  }

  func written(_ outputs: [Output], _ account: AccountName) -> [String] {
    [layout.state(account)] + outputs.map { layout.key($0.key, account) }
  }
}

extension [Output] {
  /// What the record has of the token that these hold; empty when they hold none.
  var digest: TokenDigest {
    for case .token(let token) in map(\.format) { return TokenStore.digest(token.revealed) }
    return ""
  }

  /// How much earlier than the stated end clients stop trusting a token; nil without such a key.
  var clientMargin: Duration? {
    for case .clientExpiry(let margin) in map(\.format) { return margin }
    return nil
  }
}

extension Duration {
  /// Whole milliseconds, as the scripts take them.
  var text: String { "\(wholeMilliseconds)" }
}
