/// Every account's keeper, in the order of their names, and when each of them is due.
///
/// An event costs what it touches: the accounts that it changes, and for each of them the
/// logarithm of their number. All are looked at only when what they have in common changes: whether
/// this replica leads, whether Redis is connected, whether the end is near.
struct AccountTable: Sendable {
  /// What all accounts have in common, as far as it decides when one is due.
  struct Common: Hashable, Sendable {
    var leads = false
    var isConnected = false
    var isEnding = false
  }

  /// All of them, ordered by name.
  private(set) var all: [AccountKeeper]
  private var wakes: WakeTree
  /// Who waits for the lease to be longer, in order: looked at with each event.
  private var restless: [Int] = []
  private var common = Common()
  /// Whose place in `wakes` may be out of date.
  private var unsettled: [Int] = []
  /// Who was changed since the changes were last taken; `isChanged` has each of them once.
  private var changed: [Int] = []
  private var isChanged: [Bool]
  /// How many accounts are between a BEGIN and the end of the call that this allows.
  private(set) var fetching = 0
  /// Who waits until others' fetches are over, in the order in which they became due.
  private var queue: [Int] = []
  /// Whether accounts have come or gone since this was last asked: then no place is what it was.
  private var isRearranged = false
  /// How often an account was asked when it is due: what a test counts.
  private(set) var settledCount = 0

  init(_ accounts: [AccountKeeper]) {
    all = accounts.sorted { $0.name < $1.name }
    wakes = WakeTree(count: accounts.count)
    isChanged = Array(repeating: true, count: accounts.count)
    changed = Array(accounts.indices)
    settleAll()
  }

  var indices: Range<Int> { all.indices }
  var count: Int { all.count }

  subscript(place: Int) -> AccountKeeper { all[place] }

  /// Changes one account, in place.
  mutating func update<Result>(
    _ place: Int, _ change: (inout AccountKeeper) -> Result
  ) -> Result {
    unsettled.append(place)
    if !isChanged[place] {
      isChanged[place] = true
      changed.append(place)
    }
    let (wasFetching, wasQueued) = (all[place].isFetching, all[place].isQueued)
    defer {
      let isFetching = all[place].isFetching
      if isFetching != wasFetching { fetching += isFetching ? 1 : -1 }
      if all[place].isQueued, !wasQueued { queue.append(place) }
      giveSource(from: place)
    }
    return change(&all[place])
  }

  /// Tells those that are fetched with it what this credential's token is now: they follow it.
  private mutating func giveSource(from place: Int) {
    var next = place + 1
    guard next < all.count, all[next].credential.source == all[place].name else { return }
    let source = all[place].asSource
    while next < all.count, all[next].credential.source == all[place].name {
      if all[next].source != source {
        all[next].source = source
        unsettled.append(next)
      }
      next += 1
    }
  }

  /// Lets those go on who have waited longest, while fewer than that many fetch.
  mutating func admit(upTo limit: Int) {
    var free = limit - fetching
    var admitted = 0
    while free > 0, admitted < queue.count {
      let place = queue[admitted]
      admitted += 1
      // Who has stopped leading meanwhile waits for nothing.
      guard all[place].isQueued else { continue }
      update(place) { $0.isQueued = false }
      free -= 1
    }
    queue.removeFirst(admitted)
  }

  /// Whether any account waits until others' fetches are over.
  var hasQueue: Bool { !queue.isEmpty }

  /// Puts accounts in, and takes others out.
  ///
  /// Every place may be another one's then: it costs what all of them cost together.
  mutating func rearrange(
    adding others: [AccountKeeper], removing isGone: (AccountKeeper) -> Bool
  ) {
    let waiting = queue.map { all[$0].name }
    all.removeAll(where: isGone)
    all = (all + others).sorted { $0.name < $1.name }
    wakes = WakeTree(count: all.count)
    restless = []
    isChanged = Array(repeating: true, count: all.count)
    changed = Array(all.indices)
    fetching = all.count(where: \.isFetching)
    queue = waiting.compactMap { place(of: $0) }
    isRearranged = true
    settleAll()
  }

  /// Changes every account.
  mutating func updateAll(_ change: (inout AccountKeeper) -> Void) {
    for place in indices { update(place, change) }
  }

  /// The place of the account with that name.
  func place(of account: CredentialID) -> Int? {
    var low = 0
    var high = all.count
    while low < high {
      let middle = (low + high) / 2
      if all[middle].name < account { low = middle + 1 } else { high = middle }
    }
    return low < all.count && all[low].name == account ? low : nil
  }

  /// The first place from `start` on where something is due, or may be.
  mutating func next(from start: Int, dueBy now: Moment, common: Common) -> Int? {
    settle(common)
    let due = wakes.first(from: start, dueBy: now)
    guard let waiting = restless.first(where: { $0 >= start }) else { return due }
    return due.map { min($0, waiting) } ?? waiting
  }

  /// When the first account is due, as of the last `settle`.
  var earliestWake: Moment? { wakes.earliest }

  /// Brings the times at which accounts are due up to date.
  mutating func settle(_ common: Common) {
    guard common == self.common else {
      self.common = common
      return settleAll()
    }
    for place in unsettled { settle(place) }
    unsettled.removeAll(keepingCapacity: true)
  }

  private mutating func settleAll() {
    for place in indices { settle(place) }
    unsettled.removeAll(keepingCapacity: true)
  }

  private mutating func settle(_ place: Int) {
    settledCount += 1
    wakes.set(
      place,
      to: all[place].nextWake(
        leads: common.leads, storeIsConnected: common.isConnected,
        isShuttingDown: common.isEnding))
    let isRestless = all[place].waitsForLease
    let position = restless.firstIndex { $0 >= place } ?? restless.endIndex
    let isListed = position < restless.endIndex && restless[position] == place
    if isRestless, !isListed { restless.insert(place, at: position) }
    if !isRestless, isListed { restless.remove(at: position) }
  }

  /// Whether accounts have come or gone since this was last asked.
  mutating func takeRearrangement() -> Bool {
    defer { isRearranged = false }
    return isRearranged
  }

  /// The places of the accounts that were changed since this was last asked.
  mutating func takeChanges() -> [Int] {
    for place in changed { isChanged[place] = false }
    defer { changed.removeAll(keepingCapacity: true) }
    return changed
  }
}
