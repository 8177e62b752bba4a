import Foundation
import Hiredis
import RedisClient
import TestSupport
import Testing

/// The rights that `acl` prints, given to real users of a real Redis.
@Suite struct AccessControlTests {
  /// Makes a user with the rights that a line of `acl` has.
  private static func grant(
    _ deployment: Deployment, _ flags: String...
  ) async throws {
    let process = try SidecarProcess(
      ["acl"] + flags, environment: deployment.environment(instance: "a"), instance: "acl")
    #expect(try await process.waitForExit() == .code(0), "\(process.errorText)")
    try shell(process.outputText.replacing("PASSWORD", with: "secret"), deployment)
  }

  /// Pastes a line into a shell.
  private static func shell(_ line: String, _ deployment: Deployment) throws {
    let connected = line.replacing("redis-cli ", with: "redis-cli -p \(deployment.redis.port) -e ")
    #expect(try ChildProcess(["/bin/sh", "-ec", connected]).succeeds(), "\(line)")
  }

  /// The commands, keys and channels that Redis refused to anybody so far.
  private static func refusals(_ deployment: Deployment) async throws -> [String] {
    let entries = try await deployment.ask("ACL", "LOG").elements ?? []
    return try entries.map { entry in
      let words = entry.elements ?? []
      let mark = try #require(words.firstIndex { $0.text == "object" })
      return try #require(words[mark + 1].text)
    }
  }

  @Test("two replicas elect, fetch, take reports and hand over with these rights, and no others")
  func replicas() async throws {
    try await Deployment.run { deployment in
      try await Self.grant(deployment)
      let user = [
        "WCH_REDIS_USERNAME": "wch-sidecar", "WCH_REDIS_PASSWORD": "secret",
      ]
      try await deployment.start(count: 2, user)
      let first = try await deployment.waitForLiveToken()
      _ = try await deployment.ask("RPUSH", "WCH_refresh_requests", first)
      _ = try await waited(for: "another token", within: .seconds(10), every: .milliseconds(5)) {
        try await deployment.token().flatMap { $0 == first ? nil : $0 }
      }
      let leader = try #require(try await deployment.leader())
      leader.terminate()
      #expect(try await leader.waitForExit() == .code(0))
      try await deployment.waitForLeader(otherThan: leader)
      #expect(try await Self.refusals(deployment).isEmpty)
      let check = try SidecarProcess(
        ["check", "--connect"],
        environment: deployment.environment(instance: "a").merging(user) { $1 }, instance: "check")
      #expect(try await check.waitForExit() == .code(0), "\(check.outputText)")
      #expect(
        check.outputText.contains("ok: permissions: all 28 commands and 7 keys"),
        "\(check.outputText)")
      // The password of Redis is among its configuration: that stays closed to the daemon.
      #expect(try await Self.refusals(deployment) == ["config|get"])
      #expect(check.outputText.contains("ok: persistence: unknown"), "\(check.outputText)")
    }
  }

  @Test(
    "a prefix of wildcards and quotes means its own keys, pasted into a shell",
    arguments: [
      "*", "a?", "[a]", "q\"'", "b\\", "$x`y`;",
    ])
  func oddPrefix(prefix: String) async throws {
    try await Deployment.run { deployment in
      let acl = try SidecarProcess(
        ["acl"], environment: ["WCH_KEY_PREFIX": prefix], instance: "acl")
      #expect(try await acl.waitForExit() == .code(0))
      try Self.shell(acl.outputText.replacing("PASSWORD", with: "secret"), deployment)
      try await deployment.redis.withClient(user: "wch-sidecar", password: "secret") { client in
        let own = try await client.ask(["GET", "\(prefix)leader"])
        #expect(own.refusal == nil, "\(own.refusal?.message ?? "")")
        for key in ["leader", "xleader", "ableader", "aleader"] {
          let other = try await client.ask(["GET", key])
          #expect(other.refusal?.kind == .noPermission, "\(key) may be read")
        }
      }
    }
  }

  @Test("an application reads and reports with its rights, and can change nothing")
  func reader() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 1)
      let token = try await deployment.waitForLiveToken()
      try await Self.grant(deployment, "--reader")
      try await deployment.redis.withClient(user: "wch-reader", password: "secret") { client in
        let read = try await client.ask(["MGET", "WCH_access_token", "WCH_expires_in"])
        #expect(read.elements?.first?.text == token)
        #expect(try await client.ask(["RPUSH", "WCH_refresh_requests", token]).number != nil)
        for words in [
          ["SET", "WCH_access_token", "mine"], ["DEL", "WCH_leader"], ["GET", "WCH_leader"],
          ["LRANGE", "WCH_refresh_requests", "0", "-1"], ["FLUSHALL"],
        ] {
          let reply = try await client.ask(words)
          #expect(reply.refusal?.kind == .noPermission, "\(words) was allowed")
        }
      }
    }
  }
}

extension RedisClient {
  /// Asks with a command in words.
  fileprivate func ask(_ words: [String]) async throws -> RedisReply {
    try await execute(
      RedisCommand(words[0], Array(words.dropFirst())), deadline: .now + .seconds(5),
      waitForConnection: true)
  }
}
