package import TokenCore

/// What is known beside the keeper when its health is judged.
package struct Observation: Sendable {
  /// A failure of steps at Redis that was met lately.
  package struct StepTrouble: Hashable, Sendable {
    package var kind: StoreFailure.Kind
    package var reason: String
    package var since: Timestamp
    package var count: Int
    /// From the first of them to the last.
    package var span: Duration = .zero
  }

  /// A file that cannot be used.
  package struct FileTrouble: Hashable, Sendable {
    package var kind: Condition.Kind
    /// Where it was named.
    package var subject: String
    package var reason: String
    package var since: Timestamp
  }

  /// A file that cannot be written, or a program that fails.
  package struct OutputTrouble: Hashable, Sendable {
    package var kind: Condition.Kind
    package var account: CredentialID
    /// The file or the program.
    package var subject: String
    package var reason: String
    package var since: Moment

    package init(
      _ kind: Condition.Kind, _ account: CredentialID, subject: String, reason: String,
      since: Moment
    ) {
      self.kind = kind
      self.account = account
      self.subject = subject
      self.reason = reason
      self.since = since
    }
  }

  /// What another replica said with its last heartbeat.
  package struct Heard: Hashable, Sendable {
    package var instance: String
    package var isLeader: Bool
    /// How long ago it said that it lives, by Redis's clock.
    package var age: Duration
    package var report: HealthReport?
  }

  package var now: Moment
  package var wall: Timestamp
  package var startedAt: Moment
  package var instance: String
  package var isLeader: Bool
  package var timing: Timing
  package var margins: Margins
  /// When the keeper's loop took its last event; nil before the first.
  package var handledAt: Moment?
  package var links: [(link: RedisLink, state: LinkState)] = []
  /// What the sentinels say; nil without any.
  package var sentinels: SentinelState?
  /// What the cluster says of our slots; nil without one.
  package var cluster: ClusterState?
  package var steps: [StepTrouble] = []
  /// The keys that steps do without.
  package var absentKeys: [RedisLacks.AbsentKey] = []
  package var files: [FileTrouble] = []
  /// What tokens cannot be handed on to.
  package var outputs: [OutputTrouble] = []
  /// How far WeChat's clock is ahead of this machine's.
  package var clockSkew: Duration?
  package var others: [Heard] = []
  /// Which accounts this replica keeps.
  package var accounts: AccountMarks
  /// The accounts that are WeCom's: errcodes mean other things there.
  package var corporations: Set<AccountName> = []

  package init(
    now: Moment, wall: Timestamp, startedAt: Moment, instance: String, isLeader: Bool,
    timing: Timing, margins: Margins, accounts: AccountMarks
  ) {
    self.now = now
    self.wall = wall
    self.startedAt = startedAt
    self.instance = instance
    self.isLeader = isLeader
    self.timing = timing
    self.margins = margins
    self.accounts = accounts
  }

  /// What WeChat was asked for, of a condition of that account.
  func question(of account: CredentialID?) -> Question {
    guard let account else { return .token }
    return Question(isWeCom: corporations.contains(account.account), account.kind)
  }

  /// A moment as the wall clock shows it.
  func wallClock(_ moment: Moment) -> Timestamp {
    Timestamp(milliseconds: wall.milliseconds + (moment - now).wholeMilliseconds)
  }
}
