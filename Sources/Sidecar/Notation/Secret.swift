/// A value that no description, mirror or log shows: an AppSecret, a password, a bearer.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// The value itself, for the one place that needs it.
  package let revealed: String
  /// Wraps a value; from here on only `revealed` shows it.
  package init(_ value: String) { revealed = value }
  /// The same for every secret.
  package var description: String { "<secret>" }
  /// A mirror without children, so that `dump` shows nothing either.
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
