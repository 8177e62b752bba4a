import TokenCore

extension Steps {
  /// Writes an output that lies in another slot than its record.
  ///
  /// Replies `placed wrote?`, or `outranked epoch` when a later order was about it; what comes too
  /// late writes nothing. Repeating it writes the same again.
  static let place = Step<ApartCommand.Place>(
    "place", PackageResources.place_lua,
    after: .time,
    keys: { $1.apart($0.output, $0.account) },
    arguments: [
      .number("epoch") { command, _ in command.rank.epoch.rawValue },
      .number("number") { command, _ in command.rank.number },
      .text("text") { command, _ in command.text },
      .number("ending") { command, _ in command.end.milliseconds },
      .number("not_after") { command, _ in command.notAfter.milliseconds },
      .milliseconds("ttl_tolerance") { $0.tolerance },
    ])
}
