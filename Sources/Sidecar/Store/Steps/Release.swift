import TokenCore

extension Steps {
  /// Deletes the lock of this term, and announces that.
  ///
  /// Replies `released`; deletes only our own lock.
  static let release = Step<Term>(
    "release", PackageResources.release_lua, after: .time,
    keys: { _, context in [context.layout.leader, context.layout.epoch] },
    arguments: [
      .text("term") { term, _ in term.description },
      .text("channel") { _, context in context.layout.events },
    ])
}
