// Reads the token that wch-sidecar keeps in Redis. No Swift client of Redis installs from Debian, so
// any will do: `ask` sends a command and returns the strings of its answer, nil where there is none
// (MGET) and nothing that is looked at (RPUSH). The tests give it one that writes to a socket.
import Foundation

actor WeChatToken {
  private var token: String?, readAgain = ContinuousClock.now
  private let ask: @Sendable ([String]) async throws -> [String?]
  init(ask: @escaping @Sendable ([String]) async throws -> [String?]) { self.ask = ask }

  /// The token, or nil while there is none. From memory for at most 60 s.
  func get(fromMemory: Bool = true) async throws -> String? {
    if fromMemory, let token, .now < readAgain { return token }
    let read = try await ask(["MGET", "WCH_access_token", "WCH_expires_in"])
    let left = (read[1].flatMap { Int($0) } ?? 0) - Int(Date().timeIntervalSince1970)
    (token, readAgain) = (left > 0 ? read[0] : nil, .now + .seconds(min(60, left)))
    return token
  }

  /// When WeChat answers 40001, 40014 or 42001 to `dead`: the next token, or nil after 3 s.
  func report(_ dead: String) async throws -> String? {
    _ = try await ask(["RPUSH", "WCH_refresh_requests", dead])
    for _ in 0..<60 {
      if let token = try await get(fromMemory: false), token != dead { return token }
      try await Task.sleep(for: .milliseconds(50))
    }
    return nil
  }
}
