/// What one HTTP attempt at WeChat's token endpoint came to (WeChat.md#overview).
package enum FetchOutcome: Hashable, Sendable {
  /// A token came back.
  case token(FetchedToken)
  /// Nothing was minted: nothing was sent, or WeChat answered with an errcode other than -1.
  case knownFailure(FetchFailure)
  /// The request was written and no trustworthy answer came: WeChat may have minted a token.
  case unknown(FetchFailure)
}

/// WeChat's good answer.
package struct FetchedToken: Hashable, Sendable {
  package let token: AccessToken
  /// The life that WeChat stated, counted from the sending of the request.
  package let lifetime: Duration
  /// Just before the request was written: from here the life counts.
  package let sentAt: Moment

  package init(token: AccessToken, lifetime: Duration, sentAt: Moment) {
    self.token = token
    self.lifetime = lifetime
    self.sentAt = sentAt
  }
}

/// Why a fetch brought no token.
package struct FetchFailure: Hashable, Sendable, CustomStringConvertible {
  /// What to do about the failure; WeChat.md#answers-by-class has the codes of each.
  package enum Class: String, Hashable, Sendable, CaseIterable {
    /// Transport, 5xx, -1, nonsense: try again with backoff; the next host is next.
    case transient
    /// 45011: the minute's quota; try in the next minute.
    case rate
    /// 45009: the day's quota; hold until it is reset, alarm.
    case quota
    /// The address or the account is refused: an operator must act.
    case `operator`
    /// AppID, AppSecret or the request is wrong (40013, 40125 …): the settings must change.
    case configuration
  }

  package let category: Class
  /// WeChat's `errcode`, when it sent one: for people, nothing is decided by it.
  package let code: Int?
  /// What happened, with no secret, no token and no URL query: fit for a log.
  package let reason: String
  /// WeChat's request id, to quote to its support.
  package let requestID: String?
  /// The address that WeChat saw us come from, when it tells it.
  package let egressAddress: String?
  /// Whether the failure was one of the transport (and may be different from another replica).
  package let isTransport: Bool
  /// Whether it is this replica's address that is refused: another one may have another.
  package let refusesAddress: Bool
  /// Whether it is the token that was asked with that WeChat refuses (40001, 40014, 42001): then
  /// it counts as one report of that token.
  package let rejectsSource: Bool
  /// How long WeChat itself says to hold off (89506: a day, 89507: an hour).
  package let holdOff: Duration?
  /// Whether the next attempt need not wait as the class says: it goes another way (another
  /// family of addresses), or what was missing is this machine's own and may be there by then.
  package let retriesSoon: Bool

  package init(
    _ category: Class, code: Int? = nil, reason: String, requestID: String? = nil,
    egressAddress: String? = nil, isTransport: Bool = false, refusesAddress: Bool = false,
    rejectsSource: Bool = false, holdOff: Duration? = nil, retriesSoon: Bool = false
  ) {
    self.category = category
    self.code = code
    self.reason = reason
    self.requestID = requestID
    self.egressAddress = egressAddress
    self.isTransport = isTransport
    self.refusesAddress = refusesAddress
    self.rejectsSource = rejectsSource
    self.holdOff = holdOff
    self.retriesSoon = retriesSoon
  }

  /// WeChat makes a new token with every call of this kind, and an old one came: it was kept by
  /// something on the way, and whether WeChat was asked at all is not known.
  package static let repetition = FetchFailure(
    .transient,
    reason: "an answer was repeated: its token was handed out before, though WeChat makes another"
      + " with each call; is there a cache before WeChat?")

  /// The call ended without any word.
  static let unanswered = FetchFailure(
    .transient, reason: "the call ended without any answer", isTransport: true)

  /// Whether it lasts until people mend something: what WeChat refuses for another reason than the
  /// moment's, and without saying when to ask again.
  package var isForPeople: Bool {
    switch category {
    case .operator, .configuration, .quota: !retriesSoon && holdOff == nil
    case .transient, .rate: false
    }
  }

  package var description: String { reason }
}
