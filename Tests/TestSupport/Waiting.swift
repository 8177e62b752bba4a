/// How long a test waits for what must come; only a failing test waits so long.
package let patience: Duration = .seconds(60)

/// What was waited for did not come.
package struct TimedOut: Error, CustomStringConvertible {
  package let description: String

  package init(_ awaited: String, within limit: Duration) {
    description = "\(awaited): not within \(limit)"
  }
}

/// Asks again and again until there is an answer: the way to wait for an event in another process.
///
/// - Parameters:
///   - what: completes "… did not come".
///   - limit: after which the wait fails.
///   - interval: between two questions.
package func waited<Value: Sendable>(
  for what: String, within limit: Duration, every interval: Duration = .milliseconds(5),
  _ answer: () async throws -> Value?
) async throws -> Value {
  let deadline = ContinuousClock.now + limit
  while true {
    if let value = try await answer() { return value }
    guard ContinuousClock.now < deadline else { throw TimedOut(what, within: limit) }
    // Between two questions to another process, which tells nobody when its answer changes.
    try await Task.sleep(for: interval)
  }
}

/// Waits until the condition holds.
package func waitUntil(
  _ what: String, within limit: Duration, every interval: Duration = .milliseconds(5),
  _ holds: () async throws -> Bool
) async throws {
  _ = try await waited(for: what, within: limit, every: interval) { try await holds() ? () : nil }
}

/// Watches for a span that a condition goes on holding; the opposite of a wait.
///
/// - Returns: what was seen first that should not have been; nil when all was well.
package func firstExcept<Value: Sendable>(
  for span: Duration, every interval: Duration = .milliseconds(20),
  _ exception: () async throws -> Value?
) async throws -> Value? {
  let end = ContinuousClock.now + span
  repeat {
    if let value = try await exception() { return value }
    // That something does not come no event tells; between two looks at it.
    try await Task.sleep(for: interval)
  } while ContinuousClock.now < end
  return nil
}

/// Runs the body, and fails when it takes longer than that.
package func withTimeLimit<Value: Sendable>(
  _ limit: Duration = patience, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      // The limit itself: cancelled as soon as the body is done.
      try await Task.sleep(for: limit)
      throw TimedOut("the end", within: limit)
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw TimedOut("the end", within: limit) }
    return value
  }
}
