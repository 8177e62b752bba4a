/// Marks that are owed.
extension AccountKeeper {
  mutating func owe(_ version: Version, isUnknown: Bool, at now: Moment) {
    // Whatever is owed in addition has an id of its own: the mark that was sent does not cover it.
    debts += 1
    let id = DebtID(life: life, number: debts)
    guard let owed = debt, owed.version != version else {
      debt = Debt(
        id: id, version: version, isUnknown: isUnknown || (debt?.isUnknown ?? false),
        step: .due(now))
      return
    }
    // Of two, the one may be committed and needs no mark, the other not: number 0 is neither.
    debt = Debt(
      id: id, version: Version(epoch: max(owed.version.epoch, version.epoch), sequence: 0),
      isUnknown: isUnknown || owed.isUnknown, step: .due(now))
  }

  mutating func marked(
    _ mark: StoreCommand.Mark, _ reply: StoreReply, sentAt: Moment, at now: Moment
  ) -> [Outcome] {
    switch reply {
    case .marked(let mark): remember(mark)
    case .committed: toldCommit = max(toldCommit ?? mark.version, mark.version)
    default: return failed(.mark(mark), sentAt: sentAt, .strangeAnswer, at: now)
    }
    guard debt?.id == mark.debt else { return [] }
    debt = nil
    if case .committed = reply { return [] }
    // To see the sweep that this has set, and to remember it.
    if mark.isUnknown { hinted(at: now) }
    return [.note(.marked(name, mark.version))]
  }
}
