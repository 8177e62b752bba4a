import Foundation

/// Servers and proxies as they are met, by the name under which `WCH_REDIS_MODE` puts all process
/// tests behind one of them.
extension StrictProxy.Rules {
  package enum Mode: String, CaseIterable, Sendable {
    case withoutClient = "no-client"
    case withoutInfo = "no-info"
    case withoutDigests = "no-evalsha"
    case withoutPops = "no-blpop"
    case withoutSubscriptions = "no-subscribe"
    case withoutPublishing = "no-publish"
    /// Each of these hung up on instead.
    case hangUpOnClient = "hang-client"
    case hangUpOnInfo = "hang-info"
    case hangUpOnDigests = "hang-evalsha"
    case hangUpOnPops = "hang-blpop"
    case hangUpOnSubscriptions = "hang-subscribe"
    /// As twemproxy 0.5.0 does: measured.
    case twemproxy
    /// Scripts are read before they run, and have to have keys.
    case literal
    /// So, and all keys of a command have to be in one slot.
    case slots
    /// Everything at once, in words.
    case bare
  }

  package init(_ mode: Mode) {
    switch mode {
    case .withoutClient: self = .without("CLIENT")
    case .withoutInfo: self = .without("INFO")
    case .withoutDigests: self = .without("EVALSHA")
    case .withoutPops: self = .without("BLPOP")
    case .withoutSubscriptions: self = .without("SUBSCRIBE")
    case .withoutPublishing: self = .without("PUBLISH")
    case .hangUpOnClient: self = .hangingUp(on: "CLIENT")
    case .hangUpOnInfo: self = .hangingUp(on: "INFO")
    case .hangUpOnDigests: self = .hangingUp(on: "EVALSHA")
    case .hangUpOnPops: self = .hangingUp(on: "BLPOP")
    case .hangUpOnSubscriptions: self = .hangingUp(on: "SUBSCRIBE")
    case .twemproxy:
      self = .hangingUp(
        on: "ASKING", "BLPOP", "CLIENT", "CONFIG", "HELLO", "INFO", "MULTI", "PUBLISH", "ROLE",
        "SCRIPT", "SELECT", "SUBSCRIBE", "TIME")
    case .literal, .slots:
      self = StrictProxy.Rules()
      readsScripts = true
      needsKeys = true
      needsOneSlot = mode == .slots
    case .bare:
      self = .without(
        "BLPOP", "CLIENT", "CONFIG", "EVALSHA", "INFO", "MULTI", "PUBLISH", "ROLE", "SCRIPT",
        "SUBSCRIBE", "TIME")
      readsScripts = true
      needsKeys = true
    }
  }

  /// What `WCH_REDIS_MODE` asks for.
  static let ofAllTests: StrictProxy.Rules? = ProcessInfo.processInfo.environment["WCH_REDIS_MODE"]
    .flatMap { Mode(rawValue: $0) }.map { StrictProxy.Rules($0) }
}
