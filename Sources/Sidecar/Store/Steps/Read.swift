import TokenCore

extension Steps {
  /// Reads an output that lies in another slot than its record.
  ///
  /// Replies `held now PTTL text`; writes nothing.
  static let read = Step<ApartCommand.Read>(
    "read", PackageResources.read_lua,
    after: .time,
    keys: { [$1.layout.key($0.output, $0.account)] },
    arguments: [])
}
