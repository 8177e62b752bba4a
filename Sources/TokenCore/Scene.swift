/// What a decision about one account may look at beside the account.
struct Scene: Sendable {
  /// What leading means to an account.
  struct Lead: Hashable, Sendable {
    let epoch: Epoch
    let validUntil: Moment
    /// How often Redis is looked at: with every renewal, or, of very many accounts, every tick.
    let lookEvery: Duration
  }

  let now: Moment
  /// Nil while another replica leads, or nobody.
  let lead: Lead?
  /// The server that this replica sees.
  let runID: String?
  /// When the server before this one was heard last.
  let lostSince: Moment?
  let isConnected: Bool
  /// Whether the process is to end in order.
  let isEnding: Bool
  /// Whether one more account may ask WeChat; else this one waits its turn.
  let mayFetch: Bool
}
