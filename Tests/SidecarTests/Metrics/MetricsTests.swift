import CoreMetrics
import Testing
import TokenCore

@testable import Sidecar

@Suite struct MetricsTests {
  private let figures = ProcessFigures(
    stat: "7 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 3 0 1000 4096000 10 1 1",
    limits: "Limit  Soft Limit\nMax open files            1024    4096    files\n",
    systemStat: "cpu 1\nbtime 1700000000\n", openFiles: 9, ticksPerSecond: 100, pageSize: 4096)

  private func registry() -> MetricsRegistry {
    MetricsRegistry(readProcess: { [figures] in figures })
  }

  @Test func `what is documented is exported, and nothing else`() throws {
    let registry = registry()
    registry.preregister(
      accounts: [.unnamed], version: "1.2.3", redisCommands: ["acquire"],
      routes: StatusRoute.counted)
    let exported = registry.exposition().split(separator: "\n")
      .filter { $0.hasPrefix("# TYPE ") }
      .map { $0.split(separator: " ")[2...].joined(separator: " ") }
    #expect(exported == MetricFamily.table.map { "\($0.name) \($0.kind.word)" })
  }

  @Test func `of an account that is gone nothing is left, also of what comes late`() throws {
    let registry = registry()
    let shop = try #require(CredentialID("shop"))
    registry.preregister(accounts: [.unnamed], version: "1", routes: StatusRoute.counted)
    let before = registry.exposition()
    registry.preregister([shop])
    registry.set(.condition, to: [["no_token", "shop", ""]: 4])
    registry.increment(.upstreamRequests, ["account": "shop", "endpoint": "token", "errcode": "1"])
    #expect(registry.exposition().contains("account=\"shop\""))
    registry.forget(shop)
    registry.increment(.upstreamRequests, ["account": "shop", "endpoint": "token", "errcode": "1"])
    registry.set(.valid, ["account": "shop"], to: 1)
    #expect(registry.exposition() == before)
    registry.preregister([shop])
    #expect(registry.exposition().contains("wechat_token_valid{account=\"shop\"} 0"))
  }

  @Test func `every series whose labels are known is there from the start`() throws {
    let registry = registry()
    let shop = try #require(CredentialID("shop"))
    registry.preregister(
      accounts: [.unnamed, shop], version: "1.2.3", redisCommands: ["acquire"],
      routes: StatusRoute.counted)
    registry.preregister(layouts: ["wechatpy"], of: .unnamed)
    registry.preregister(fileOf: .unnamed)
    registry.preregister(hookOf: .unnamed)
    let lines = Set(registry.exposition().split(separator: "\n").map(String.init))
    for account in ["default", "shop"] {
      #expect(lines.contains("wechat_token_valid{account=\"\(account)\"} 0"))
      #expect(lines.contains("wechat_token_foreign_refreshes_total{account=\"\(account)\"} 0"))
      #expect(
        lines.contains("wechat_token_refresh_duration_seconds_count{account=\"\(account)\"} 0"))
      for endpoint in ["token", "stable_token", "quota"] {
        for code in ["0", "none"] {
          #expect(
            lines.contains(
              "wechat_token_upstream_requests_total{account=\"\(account)\","
                + "endpoint=\"\(endpoint)\",errcode=\"\(code)\"} 0"))
        }
      }
      for trigger in MetricLabels.triggers {
        for result in MetricLabels.results {
          #expect(
            lines.contains(
              "wechat_token_refreshes_total{account=\"\(account)\",trigger=\"\(trigger)\","
                + "result=\"\(result)\"} 0"))
        }
      }
    }
    #expect(
      lines.contains("wechat_token_redis_commands_total{command=\"acquire\",result=\"ok\"} 0"))
    #expect(
      lines.contains(
        "wechat_token_http_requests_total{route=\"/v1/refresh\",method=\"POST\",code=\"200\"} 0"))
    #expect(lines.contains("wechat_token_build_info{version=\"1.2.3\"} 1"))
    #expect(lines.contains("wechat_token_leader_status 0"))
    // Every family has at least one sample.
    for family in MetricFamily.table {
      #expect(lines.contains { $0.hasPrefix(family.name) && !$0.hasPrefix("#") }, "\(family.name)")
    }
  }

  @Test func `what can be wrong with a replica has a series from the start, and keeps it`() throws {
    let registry = registry()
    registry.preregister(accounts: [.unnamed], version: "1", routes: StatusRoute.counted)
    func values() -> [String: String] {
      Dictionary(
        uniqueKeysWithValues: registry.exposition().split(separator: "\n").filter {
          $0.hasPrefix("wechat_token_condition{")
        }.map { line in
          let parts = line.split(separator: " ")
          return (String(parts[0].dropFirst("wechat_token_condition".count)), String(parts[1]))
        })
    }
    let account = "{condition=\"no_token\",account=\"default\",errcode=\"\"}"
    let replica = "{condition=\"redis_away\",account=\"\",errcode=\"\"}"
    #expect(Set(values().keys).count == Condition.Kind.allCases.filter(\.isOfReplica).count)
    #expect(values().values.allSatisfy { $0 == "0" })
    registry.set(.condition, to: [["no_token", "default", ""]: 4, ["redis_away", "", ""]: 3])
    #expect(values()[account] == "4")
    #expect(values()[replica] == "3")
    registry.set(.condition, to: [:])
    #expect(values()[account] == "0")
    #expect(values()[replica] == "0")
  }

  @Test func `swift-metrics writes into the documented families`() {
    let registry = registry()
    Counter(
      label: "wechat_token_refreshes_total",
      dimensions: [("result", "ok"), ("account", "default"), ("trigger", "start")],
      factory: registry
    ).increment(by: 2)
    Gauge(label: "wechat_token_redis_up", factory: registry).record(1)
    Meter(label: "wechat_token_fencing_epoch", factory: registry).set(7)
    Timer(label: "wechat_token_redis_command_duration_seconds", factory: registry)
      .recordMilliseconds(3)
    registry.increment(
      .refreshes, ["account": "default", "trigger": "start", "result": "ok"], by: 1)
    let text = registry.exposition()
    #expect(
      text.contains(
        "wechat_token_refreshes_total{account=\"default\",trigger=\"start\",result=\"ok\"} 3\n"))
    #expect(text.contains("wechat_token_redis_up 1\n"))
    #expect(text.contains("wechat_token_fencing_epoch 7\n"))
    #expect(text.contains("wechat_token_redis_command_duration_seconds_bucket{le=\"0.0025\"} 0\n"))
    #expect(text.contains("wechat_token_redis_command_duration_seconds_bucket{le=\"0.005\"} 1\n"))
    #expect(text.contains("wechat_token_redis_command_duration_seconds_bucket{le=\"+Inf\"} 1\n"))
    #expect(text.contains("wechat_token_redis_command_duration_seconds_sum 0.003\n"))
  }

  @Test(arguments: [(0.1, 1), (0.10001, 0), (0.05, 1)])
  func `a bucket holds what is at or below its bound`(seconds: Double, below: UInt64) {
    let histogram = HistogramSeries(buckets: [0.1])
    histogram.record(seconds)
    #expect(histogram.snapshot.counts == [below])
    #expect(histogram.snapshot.total == 1)
  }

  @Test func `a counter never shrinks`() {
    let counter = CounterSeries()
    counter.increment(by: 2.0)
    counter.increment(by: -1.5)
    counter.increment(by: Double.nan)
    #expect(counter.value == 2)
  }

  @Test func `labels and help are escaped`() {
    let registry = registry()
    registry.increment(.redisCommands, ["command": "a\"b\\c\nd", "result": "ok"])
    #expect(registry.exposition().contains("{command=\"a\\\"b\\\\c\\nd\",result=\"ok\"} 1\n"))
  }

  @Test func `an undocumented metric is exported under a name that Prometheus takes`() {
    let registry = registry()
    Counter(label: "9 lives.total", dimensions: [("a-b", "c")], factory: registry).increment()
    #expect(registry.exposition().contains("\n__lives_total{a_b=\"c\"} 1\n"))
  }

  @Test func `the number of series of a family is bounded`() {
    let registry = registry()
    for index in 0...MetricsRegistry.seriesLimit {
      registry.increment(.redisCommands, ["command": "\(index)", "result": "ok"])
    }
    let count = registry.exposition().split(separator: "\n")
      .count { $0.hasPrefix("wechat_token_redis_commands_total{") }
    #expect(count == MetricsRegistry.seriesLimit)
  }

  @Test func `the process's figures are read from the kernel's files`() throws {
    let figures = try #require(figures)
    #expect(figures.cpuSeconds == 2)
    #expect(figures.virtualBytes == 4_096_000)
    #expect(figures.residentBytes == 40_960)
    #expect(figures.openFiles == 8)
    #expect(figures.maxFiles == 1024)
    #expect(figures.startSecond == 1_700_000_010)
    let real = try #require(ProcessFigures.current())
    #expect(real.samples.count == MetricFamily.process.count)
    #expect(real.residentBytes > 1_000_000)
  }
}
