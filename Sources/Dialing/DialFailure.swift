/// Why no connection stands.
package enum DialFailure: Error, Sendable {
  /// One address that was tried, and what came of it.
  package struct Attempt: Sendable {
    package let address: String
    package let error: any Error

    package init(address: String, error: any Error) {
      self.address = address
      self.error = error
    }
  }

  /// The look-up of the name has an answer, and it is no address.
  case notResolved(host: String, reason: String)
  /// The name was not looked up in time.
  case lookUpTimedOut(host: String)
  /// Every address was tried, and each failed, or had not answered when the time was up.
  case unreachable([Attempt])
  /// There were addresses, and none answered in time.
  case connectTimedOut([String])
  /// The task was cancelled.
  case cancelled
}
