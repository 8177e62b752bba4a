/// Decides what a subscribed connection's pushes mean.
struct Subscription: Hashable {
  enum State: Hashable {
    /// The server has yet to confirm these channels. Then: confirmed.
    case unconfirmed(Set<String>)
    /// From here on nothing is missed.
    case confirmed
  }

  /// What to do.
  enum Action: Hashable {
    case nothing
    /// Every channel is confirmed: its time has not passed.
    case confirm
    case deliver(RedisMessage)
    case close(RedisFailure)
  }

  private(set) var state: State

  init(channels: Set<String>) { state = .unconfirmed(channels) }

  /// The server has had its time to confirm.
  func timePassed() -> Action { state == .confirmed ? .nothing : .close(.unresponsive) }

  mutating func received(_ reply: RedisReply) -> Action {
    if let refusal = reply.refusal { return .close(.refused(command: "SUBSCRIBE", refusal)) }
    if reply.elements?.first?.text == "pong" { return .nothing }
    guard let elements = reply.elements, elements.count == 3, let channel = elements[1].text else {
      return .close(.unmatchedReply)
    }
    switch elements[0].text {
    case "subscribe":
      guard case .unconfirmed(var channels) = state, channels.remove(channel) != nil else {
        return .close(.unmatchedReply)
      }
      state = channels.isEmpty ? .confirmed : .unconfirmed(channels)
      return channels.isEmpty ? .confirm : .nothing
    case "message":
      guard let payload = elements[2].bytes else { return .close(.unmatchedReply) }
      return .deliver(RedisMessage(channel: channel, payload: payload))
    default: return .close(.unmatchedReply)
    }
  }
}
