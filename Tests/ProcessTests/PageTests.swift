import Foundation
import TestSupport
import Testing
import WeChatSimulator

@Suite struct PageTests {
  @Test("the page and /v1/status tell the five figures and who leads, on every replica")
  func figures() async throws {
    try await Deployment.run { deployment in
      let leader = try await deployment.start(count: 2)
      for process in deployment.processes {
        try await process.waitForStatus(200, of: "/readyz")
        try await waitUntil("\(process.instance) knows the leader", within: .seconds(5)) {
          (try await process.status()["leader"] as? String)?.hasPrefix(leader.instance) == true
        }
        let page = try await process.get("/?lang=zh")
        #expect(page.status == 200)
        for figure in [
          "系统启动", "定时器执行", "凭证Token有效期", "刷新Token成功", "刷新Token失败",
        ] {
          #expect(page.body.contains(figure), "\(figure) on \(process.instance)")
        }
        #expect(page.body.contains(leader.instance))
        let status = try await process.status()
        #expect(status["instance"] as? String == process.instance)
        #expect(status["role"] as? String == (process === leader ? "leader" : "follower"))
        #expect(status["refreshes_failed"] as? Int == 0)
        let accounts = try #require(status["accounts"] as? [[String: Any]])
        #expect(accounts.count == 1)
        #expect(accounts[0]["token_present"] as? Bool == true)
        let keys = try await deployment.keys()
        #expect(accounts[0]["expires_at"] as? Int == keys.expiresIn.map { Int($0) })
      }
      #expect(try await leader.status()["refreshes_ok"] as? Int == 1)
    }
  }

  @Test("the skew of WeChat's clock is told by the replica that asked, on its page, too")
  func clockSkew() async throws {
    try await Deployment.run { deployment in
      // Far more than a busy machine takes for a call, and less than the life of a token.
      deployment.simulator.configure { $0.skew = 600_000 }
      let leader = try await deployment.start(count: 2)
      for process in deployment.processes {
        let status = try await process.status()
        let weChat = try #require(status["wechat"] as? [String: Any])
        let skew = weChat["clock_skew_seconds"] as? Int
        if process === leader {
          #expect(abs(try #require(skew) - 600) <= 30)
          // It is judged a moment later than it is met, and each call tells it anew.
          try await waitUntil("the page tells the skew", within: .seconds(20)) {
            try await process.get("/").body
              .firstMatch(of: /WeChat&#39;s clock is (59\d|6[0-3]\d) s ahead of this machine/)
              != nil
          }
        } else {
          // It knows it from the leader, who is named.
          #expect(skew == nil)
          #expect(weChat["clock_skew_seconds"] is NSNull)
          // With the leader's next heartbeat, up to a tick of 20 s later.
          try await waitUntil("the follower has heard of it", within: .seconds(40)) {
            let page = try await process.get("/").body
            return page.contains("as \(leader.instance) says")
              && page.contains("<code>clock_off</code>")
          }
        }
      }
    }
  }

  @Test("no page shows the secret or the token, but for /v1/token")
  func secrecy() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2)
      let token = try #require(try await deployment.token())
      for process in deployment.processes {
        try await process.waitForStatus(200, of: "/readyz")
        for path in [
          "/", "/v1/status", "/livez", "/readyz", "/startupz", "/metrics", "/nothing",
          "/v1/token?account=nobody",
        ] {
          let answer = try await process.get(path)
          #expect(!answer.body.contains(token), "\(path)")
          #expect(!(answer.head + answer.body).contains(Deployment.secret), "\(path)")
        }
        let answer = try await process.get("/v1/token")
        #expect(answer.status == 200)
        #expect(answer.body.contains("\"access_token\":\"\(token)\""))
        #expect(answer.head.lowercased().contains("cache-control: no-store"))
      }
    }
  }

  @Test("every replica hands the token out from memory while Redis is down")
  func tokenWithoutRedis() async throws {
    try await Deployment.run { deployment in
      try await deployment.start(count: 2)
      let token = try #require(try await deployment.token())
      for process in deployment.processes { try await process.waitForStatus(200, of: "/v1/token") }
      deployment.redis.kill()
      for process in deployment.processes {
        try await process.waitForLog(
          "Redis is lost; readers keep what they have, and nobody fetches until it is back")
        let answer = try await process.get("/v1/token")
        #expect(answer.status == 200)
        #expect(answer.body.contains("\"access_token\":\"\(token)\""))
      }
      #expect(deployment.mints == 1)
    }
  }
}
