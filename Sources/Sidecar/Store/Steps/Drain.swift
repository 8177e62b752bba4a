import TokenCore

extension Steps {
  /// Takes the reports that wait.
  ///
  /// Replies the items of the list of reports that are not too long, after how many were; takes
  /// them from the list, however long that is.
  static let drain = Step<(most: Int, longest: Int)>(
    "drain", PackageResources.drain_lua, after: .none,
    keys: { _, context in [context.layout.refreshRequests] },
    arguments: [
      .number("most") { command, _ in Int64(command.most) },
      .number("longest") { command, _ in Int64(command.longest) },
    ])
}
