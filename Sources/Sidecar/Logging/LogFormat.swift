/// How events are written.
package enum LogFormat: String, Sendable, Hashable, CaseIterable {
  /// One JSON object a line, for machines.
  case json
  /// One readable line, for terminals.
  case text
}
