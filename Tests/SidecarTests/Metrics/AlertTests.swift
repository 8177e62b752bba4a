import Foundation
import Testing
import TokenCore

@testable import Sidecar

/// What `promtool` does not know: which metrics, labels and conditions there are.
@Suite struct AlertTests {
  private static let families = Dictionary(
    uniqueKeysWithValues: MetricFamily.table.map { ($0.name, $0) })

  /// Metrics of an expression, each with the labels that it is chosen by and what is asked of them.
  private static func selectors(
    of expression: String
  ) -> [(name: String, labels: [(label: String, values: [String])])] {
    expression.matches(of: /(wechat_token_\w+)(?:{([^}]*)})?/).map { found in
      let labels = String(found.2 ?? "").matches(of: /(\w+)[=!]~?"([^"]*)"/).map {
        (label: String($0.1), values: $0.2.split(separator: "|").map(String.init))
      }
      return (name: String(found.1), labels: labels)
    }
  }

  @Test(arguments: AlertRule.table)
  func `an alert asks for what is exported, by labels and values that there are`(
    rule: AlertRule
  ) throws {
    let selectors = Self.selectors(of: rule.expression)
    #expect(!selectors.isEmpty)
    for selector in selectors {
      let family = try #require(Self.families[selector.name], "\(selector.name)")
      for (label, values) in selector.labels {
        #expect(family.labels.contains(label), "\(selector.name) has no \(label)")
        let known: [String] =
          switch label {
          case "condition": Condition.Kind.allCases.map(\.rawValue)
          case "errcode": WeChatError.all.map { String($0.code) }
          case "connection": MetricLabels.connections
          case "account": [AlertRule.tickets]
          default: []
          }
        #expect(Set(values).isSubset(of: known), "\(rule.name): \(values)")
      }
    }
  }

  /// What compares with zero is silent where there is no series: those have one from the start.
  @Test func `what an alert finds to be zero is there before anything happens`() {
    let registry = MetricsRegistry(readProcess: { nil })
    registry.preregister(accounts: [.unnamed], version: "1", routes: StatusRoute.counted)
    let lines = registry.exposition().split(separator: "\n").filter { !$0.hasPrefix("#") }
    for rule in AlertRule.table where rule.expression.contains("== 0") {
      for selector in Self.selectors(of: rule.expression) {
        #expect(
          lines.contains { line in
            (line.hasPrefix(selector.name + "{") || line.hasPrefix(selector.name + " "))
              && selector.labels.allSatisfy { line.contains("\($0.label)=\"\($0.values[0])\"") }
          }, "\(rule.name): \(selector.name)")
      }
    }
  }

  @Test func `a condition that is told apart has an alert that names it or its metric`() {
    let expressions = AlertRule.table.filter { $0.name != "WeChatTokenCondition" }
      .map(\.expression).joined()
    let metrics: [Condition.Kind: String] = [
      .noToken: "wechat_token_valid", .tokenLapsing: "wechat_token_expiration_timestamp_seconds",
      .refreshFailing: "wechat_token_consecutive_failures",
      .noLeader: "wechat_token_leader_status", .redisAway: "wechat_token_redis_up",
      .fileUnwritten: "file_unwritten|", .hookFailing: "|hook_failing",
    ]
    for kind in AlertRule.toldApart {
      #expect(expressions.contains(metrics[kind] ?? "condition=\"\(kind.rawValue)\""), "\(kind)")
    }
  }

  @Test func `an alert's entry is where it leads, and times are never in counts of attempts`() {
    for rule in AlertRule.table {
      #expect(rule.anchor == rule.name || rule.anchor == "{{ $labels.condition }}", "\(rule.name)")
      #expect(rule.lasting.wholeMatch(of: /\d+[smh]/) != nil, "\(rule.name)")
      #expect(rule.expression.firstMatch(of: /failures\W+\) > [1-9]/) == nil, "\(rule.name)")
    }
    #expect(Set(AlertRule.table.map(\.name)).count == AlertRule.table.count)
  }
}
