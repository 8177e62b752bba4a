import Foundation
import TestSupport
import Testing
import WeChatSimulator

/// `/v1/refresh` when no new token comes within its wait.
@Suite struct UnservedReportTests {
  private struct Problem: Decodable {
    var status: Int
    var detail: String
    var errcode: Int?
  }

  /// Orders a fetch and waits for the refusal.
  private static func order(_ replica: SidecarProcess) async throws -> Problem {
    let socket = try #require(replica.socket)
    let answer = try await PlainHTTP.ask(
      socket: socket, method: "POST", path: "/v1/refresh", body: #"{"force":true}"#,
      within: patience)
    #expect(answer.status == 503, "\(answer.body)")
    let head = answer.head.lowercased()
    #expect(head.contains("application/problem+json"), "\(head)")
    #expect(head.contains("retry-after: "), "\(head)")
    return try JSONDecoder().decode(Problem.self, from: Data(answer.body.utf8))
  }

  @Test("while WeChat has trouble, the leader says what it knows, and others who leads")
  func busyWeChat() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      let follower = try #require(deployment.processes.first { $0 !== leader })
      deployment.simulator.setFault(.errorCode(-1), count: nil)
      async let told = Self.order(leader)
      let heard = try await Self.order(follower)
      let problem = try await told
      #expect(problem.detail.contains("WeChat's system is busy"), "\(problem.detail)")
      #expect(problem.errcode == -1)
      #expect(heard.detail.contains("the leader \(leader.instance)"), "\(heard.detail)")
    }
  }

  @Test("while WeChat is silent, somebody who asked it says so, also when it gave the lead back")
  func silentWeChat() async throws {
    try await Deployment.run { deployment in
      let replica = try await deployment.start(count: 1, Deployment.brisk)
      try await replica.waitForStatus(200, of: "/readyz")
      deployment.simulator.setFault(.dropBeforeMint, count: nil)
      let problem = try await Self.order(replica)
      #expect(problem.detail.contains("no whole answer came"), "\(problem.detail)")
      #expect(problem.errcode == nil)
    }
  }

  @Test("while Redis is down, a replica says that it is")
  func lostRedis() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2, Deployment.brisk)
      for process in deployment.processes { try await process.waitForStatus(200, of: "/readyz") }
      deployment.redis.kill()
      for process in deployment.processes {
        try await process.waitForLog(
          "Redis is lost; readers keep what they have, and nobody fetches until it is back")
        #expect(try await Self.order(process).detail.contains("Redis"))
      }
      #expect(leader.isRunning)
    }
  }
}
