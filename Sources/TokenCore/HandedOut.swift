/// The tokens of one account that are known here, the newest last.
///
/// With each call of `token` WeChat makes a new one, so that one of these cannot be WeChat's answer
/// to a fetch of now: something on the way kept an earlier answer, and what it says of the token's
/// life is old. (TokenCore.md#the-algorithm, FETCH.)
struct HandedOut: Hashable, Sendable {
  /// A cache that keeps an answer for longer than so many lives has been told of before.
  static let limit = 8

  private var tokens: [AccessToken] = []

  func contains(_ token: AccessToken) -> Bool { tokens.contains(token) }

  func contains(where isIt: (AccessToken) -> Bool) -> Bool { tokens.contains(where: isIt) }

  /// Remembers the token as the newest, and forgets the oldest of too many.
  mutating func add(_ token: AccessToken) {
    tokens.removeAll { $0 == token }
    tokens.append(token)
    if tokens.count > Self.limit { tokens.removeFirst() }
  }
}

extension FetchOutcome {
  /// The outcome as far as it can be believed, by the tokens that are known.
  ///
  /// - Parameter repeats: whether WeChat hands out the same token again (`stable_token`).
  func checked(against known: HandedOut, repeats: Bool) -> FetchOutcome {
    guard !repeats, case .token(let fetched) = self, known.contains(fetched.token) else {
      return self
    }
    return .unknown(.repetition)
  }
}
