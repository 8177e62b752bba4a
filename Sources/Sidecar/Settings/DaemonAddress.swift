/// What it takes to ask a running daemon: where it listens, how it is known, and the bearer.
///
/// Nothing else of the settings concerns who asks: it may be broken, unknown or gone.
package struct DaemonAddress: Sendable {
  package let listen: ListenAddress
  /// The file of the daemon's certificate; nil when it has none, or an authority's is given.
  package let certificate: String?
  /// Who signs it.
  package let authorities: String?
  package let bearer: SecretSource?
  /// Whether nothing secret is said or heard: on this host the daemon need not be known then.
  package let isOpen: Bool
  /// What could not be read and may not matter.
  package let warnings: [SettingsProblem]

  /// The settings that are read.
  package static let settings: [Setting] = [
    .config, .httpListen, .httpTlsCertFile, .httpCaFile, .httpBearer, Setting.httpBearer.fileTwin,
  ].compactMap(\.self)

  /// Reads the few settings that it takes.
  ///
  /// - Parameters:
  ///   - arguments: the flags of settings only; also unknown ones are problems here.
  ///   - needsBearer: whether what is asked is guarded.
  /// - Throws: `SettingsError` with every problem at once.
  package static func load(
    arguments: [String], otherFlags: [String] = [], environment: [String: String],
    needsBearer: Bool, readFile: @escaping FileReader = RegularFile.read
  ) throws(SettingsError) -> DaemonAddress {
    let sources = SettingsSources(
      arguments: arguments, otherFlags: otherFlags, environment: environment, readFile: readFile,
      listFiles: { _ in [] })
    let names = settings.filter { needsBearer || !$0.name.hasPrefix(Setting.httpBearer.name) }
    var reader = SettingsReader(sources: sources.concerning(names), readFile: readFile)
    let listen = reader.value(.httpListen) { ListenAddress($0) }
    let authorities = reader.readablePath(.httpCaFile)
    var certificate: String?
    if authorities == nil {
      // The daemon goes on with the last good pair while the file is gone.
      certificate =
        needsBearer
        ? reader.readablePath(.httpTlsCertFile) : reader.value(.httpTlsCertFile) { $0 }
    }
    let bearer = needsBearer ? reader.secret(.httpBearer) : nil
    guard reader.problems.isEmpty, let listen else {
      throw SettingsError(problems: reader.problems)
    }
    return DaemonAddress(
      listen: listen, certificate: certificate, authorities: authorities, bearer: bearer,
      isOpen: !needsBearer,
      warnings: reader.warnings)
  }
}
