import TokenCore

extension Steps {
  /// Says that this replica is alive, and reads who else is.
  ///
  /// Replies `replicas now` and, of each other one, its name, when it was seen, whether it leads,
  /// when it gave that up, its life, and what it says to people. Entries older than the memory are
  /// removed. What is longer than 16 KiB is not repeated, whoever wrote it.
  ///
  /// A field is a name; what others of that name said last, at most seven of them, stands in
  /// `others`. A version that knows no lives overwrites these, and they are back with their next
  /// heartbeat.
  static let heartbeat = Step<StoreCommand.Heartbeat>(
    "heartbeat", PackageResources.heartbeat_lua, after: .time,
    keys: { _, context in [context.layout.replicas] },
    arguments: [
      .text("instance") { command, _ in command.instance.rawValue },
      .flag("leads") { $0.isLeader },
      .flag("abdicates") { $0.abdicates },
      .milliseconds("memory") { _ in StepContext.replicaMemory },
      .text("life") { command, _ in String(command.life, radix: 16) },
      .text("said") { _, context in context.said() },
    ])
}
