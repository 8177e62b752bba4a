import RedisClient
import TestSupport
import Testing
import WeChatSimulator

@Suite struct ManyAccountTests {
  // So many at once were more than connections could carry: healthy accounts' calls waited for each
  // other until their time was over, and each of them counted as a fetch of unknown outcome.
  @Test("250 accounts, whose answers take a second, have their tokens after as many requests")
  func slowAnswers() async throws {
    let count = 250
    try await Deployment.run { deployment in
      let (settings, keys) = try deployment.accounts(count: count, life: 7_200_000)
      deployment.simulator.setLatency(1000...1000)
      for name in ["a", "b"] {
        try deployment.start(name, settings.merging(["WCH_LOG_LEVEL": "info"]) { $1 })
      }
      try await waitUntil(
        "a token of each account", within: .seconds(60), every: .milliseconds(50)
      ) {
        try await deployment.ask(RedisCommand("EXISTS", keys)).number == Int64(count)
      }
      #expect(deployment.simulator.audit.requests(to: .token) == count)
      #expect(deployment.mints == count)
      for process in deployment.processes {
        #expect(!process.log.contains { $0.message.hasPrefix("WeChat gave no token") })
        #expect(!process.log.contains { $0.message.hasPrefix("This replica no longer leads") })
      }
    }
  }
}
