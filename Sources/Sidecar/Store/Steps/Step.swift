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
  private let outputs: (@Sendable (Command) -> Published)?

  /// Outputs, and what they are to hold: nil for whatever they do.
  typealias Published = (outputs: [Output], token: (text: AccessToken, lifetime: Duration)?)

  /// - Parameters:
  ///   - body: the script's file, which ends with a reply.
  ///   - prelude: the functions that it uses.
  ///   - keys: every key that it touches.
  ///   - outputs: what the keys from the second on are to hold, and of which token, nil for
  ///     whichever they hold: `output(i)` tells the script the kind and the value of key `i`.
  init(
    _ name: String, _ body: [UInt8], after prelude: Prelude,
    keys: @escaping @Sendable (Command, StepContext) -> [String],
    arguments: [StepArgument<Command>],
    outputs: (@Sendable (Command) -> Published)? = nil
  ) {
    self.keys = keys
    let arguments = arguments + (outputs == nil ? [] : [.tellsLife])
    self.arguments = arguments
    self.outputs = outputs
    var text = prelude.lua
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
    let body = String(decoding: body, as: UTF8.self)
    if outputs == nil {
      text += body
    } else {
      text += "local function step()\n\(body)end\n"
      text += "if tells_life then return {step(), stated_life()} end\nreturn step()\n"
    }
    script = Script(name, text)
  }

  /// The keys and arguments of one call.
  func call(_ command: Command, in context: StepContext) -> (keys: [String], arguments: [String]) {
    var values = arguments.map { $0.value(command, context) }
    if let (outputs, token) = outputs?(command) {
      values += outputs.flatMap { Self.words($0, token) }
    }
    return (keys(command, context), values)
  }

  private static func words(
    _ output: Output, _ token: (text: AccessToken, lifetime: Duration)?
  ) -> [String] {
    switch output.content {
    case .token(let spelling):
      token.map { ["token", spelling.text(of: $0.text, lifetime: $0.lifetime)] } ?? ["kept", ""]
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

  /// Whether what the record states is told, for what lies in other slots.
  static var tellsLife: Self {
    Self(
      name: "tells_life", value: { $1.plan == .joined ? "0" : "1" }, read: { "\($0) == '1'" })
  }

  static func flag(_ name: String, _ value: @escaping @Sendable (Command) -> Bool) -> Self {
    Self(
      name: name, value: { command, _ in value(command) ? "1" : "0" }, read: { "\($0) == '1'" })
  }
}

/// What stands before a script: what all of them know, and the functions that it uses.
enum Prelude {
  case none, time, record

  /// As the script's first lines.
  var lua: String {
    func text(_ file: [UInt8]) -> String { String(decoding: file, as: UTF8.self) }
    let time = text(PackageResources.time_lua)
    return switch self {
    case .none: Self.constants
    case .time: Self.constants + time
    case .record:
      Self.constants + time + OutputKeys.lua + RecordField.lua
        + text(PackageResources.record_lua)
    }
  }

  /// In milliseconds, but for the layout.
  private static let constants = """
    local CERTAIN, STRAGGLING = \(Timing.certain.wholeMilliseconds), \
    \(Timing.straggling.wholeMilliseconds)
    local LOST_WRITES, LAYOUT = \(Timing.lostWrites.wholeMilliseconds), \(Script.layout)

    """
}

/// How a step is written: all of it by one script, or what lies in other slots than the record in
/// calls of its own.
package enum WritePlan: Hashable, Sendable {
  case joined
  /// Whether a script may ask which server it runs on: proxies do not let it.
  case split(tellsServer: Bool)
}

/// What steps know of where they are carried out.
struct StepContext: Sendable {
  let layout: KeyLayout
  /// Whether keys lie in several slots.
  var plan = WritePlan.joined
  /// What marks records, and the lock.
  var apps = AppRegister([:])
  /// What this replica tells people with each heartbeat.
  var said: @Sendable () -> String = { "" }

  /// The entries of replicas that were not seen for this long are removed.
  static let replicaMemory: Duration = .seconds(60)

  /// The server that is seen, or that the script is to find out.
  func server(_ seen: String) -> String {
    switch plan {
    case .joined: seen
    case .split(tellsServer: true): "*"
    case .split(tellsServer: false): ""
    }
  }

  /// Where the script announces a change; nowhere when it is not all that is written.
  var announcing: String { plan == .joined ? layout.events : "" }

  func app(_ credential: CredentialID) -> TokenDigest { apps.mark(credential.account) }

  /// An output in a slot of its own, after whose orders about it are told apart by.
  func apart(_ output: Output.Key, _ credential: CredentialID) -> [String] {
    let key = layout.key(output, credential)
    return [layout.fence(of: key), key]
  }

  /// The record and its outputs.
  func keys(_ credential: CredentialID, _ outputs: [Output]) -> [String] {
    [layout.state(credential)] + outputs.map { layout.key($0.key, credential) }
  }
}

extension [Output] {
  /// How much earlier than the stated end clients stop trusting a token; nil without such a key.
  var clientMargin: Duration? {
    for case .clientExpiry(let margin) in map(\.content) { return margin }
    return nil
  }
}

extension Duration {
  /// Whole milliseconds, as the scripts take them.
  var text: String { "\(wholeMilliseconds)" }
}
