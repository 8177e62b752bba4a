/// A secret such as an AppSecret or a password: shown by no description.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomReflectable {
  /// The secret itself, for the one call that needs it and for nothing else.
  package let revealed: String

  /// Wraps a secret.
  package init(_ secret: String) { revealed = secret }

  package var description: String { "<secret>" }
  package var customMirror: Mirror { Mirror(self, children: [:]) }
}
