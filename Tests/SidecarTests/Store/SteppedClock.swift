import Foundation

/// A clock for redis-server that only the test moves, by whole seconds.
final class SteppedClock: Sendable {
  private let file = FileManager.default.temporaryDirectory
    .appendingPathComponent("clock\(UInt32.random(in: 0 ... .max))")

  /// A clock that shows that Unix second.
  init(showing second: Int64 = 1_800_000_000) throws { try set(second) }

  deinit { try? FileManager.default.removeItem(at: file) }

  /// What redis-server is to be started with.
  var environment: [String: String] {
    [
      // With the C library's allocator: jemalloc asks for the time before libfaketime is ready.
      "LD_PRELOAD": "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1:libc.so.6",
      "FAKETIME_TIMESTAMP_FILE": file.path, "FAKETIME_NO_CACHE": "1",
      "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC",
    ]
  }

  /// Moves the clock to that Unix second.
  func set(_ second: Int64) throws {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(identifier: "UTC")
    formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
    let text = formatter.string(from: Date(timeIntervalSince1970: TimeInterval(second)))
    try text.write(to: file, atomically: true, encoding: .utf8)
  }
}
