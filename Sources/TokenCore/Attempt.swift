/// One permitted fetch.
package struct Attempt: Hashable, Sendable {
  package let version: Version
  package let trigger: Trigger
  /// When its first BEGIN was sent.
  package let firstBeganAt: Moment
  /// When the BEGIN that was sent last was.
  package internal(set) var beganAt: Moment
  /// What BEGIN returned.
  package internal(set) var receipt: BeginReceipt?
  /// When WeChat was asked.
  package internal(set) var askedAt: Moment?
  /// With which token, where it is asked with one.
  package internal(set) var source: AccessToken?
}
