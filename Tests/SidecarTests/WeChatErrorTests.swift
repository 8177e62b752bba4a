import Sidecar
import TestSupport
import Testing
import TokenCore
import WeChatSimulator

@Suite("WeChat's error codes") struct WeChatErrorTests {
  /// What WeChat must be made of for a code to come by itself; nil when the code is forced.
  private static let natural: [Int: @Sendable (inout AppSettings) -> Void] = [
    40013: { $0.appID = "wxother" },
    40125: { $0.secret = "other" },
    40164: { $0.allowedAddresses = ["10.1.2.3"] },
    40243: { $0.secretState = .frozen },
    45009: { $0.dailyTokenQuota = 0 },
    45011: { $0.minuteQuota = 0 },
    48004: { $0.accountState = .irregular },
    50002: { $0.accountState = .limited },
    50004: { $0.accountState = .punished },
    50007: { $0.accountState = .frozen },
    61024: { $0.accountType = .component },
    89503: { $0.confirmation = .pending },
    89506: { $0.confirmation = .refusedForADay },
    89507: { $0.confirmation = .refusedForAnHour },
  ]

  /// The classes as WeChat.md#answers-by-class has them, written down apart from the code's own
  /// table.
  private static let expected: [(Int, FetchFailure.Class)] = [
    (40001, .configuration), (40002, .configuration), (40013, .configuration),
    (40125, .configuration), (40164, .operator), (40243, .operator), (41002, .configuration),
    (41004, .configuration), (42001, .configuration), (43002, .configuration),
    (43003, .configuration),
    (44002, .configuration), (45009, .quota), (45011, .rate), (45035, .operator),
    (47001, .configuration), (48004, .operator), (48017, .operator), (50002, .operator),
    (50004, .operator), (50007, .operator), (61004, .operator), (61024, .configuration),
    (89501, .operator), (89503, .operator), (89506, .operator), (89507, .operator),
    (99999, .operator),
  ]

  @Test("every code is a known failure of its class", arguments: expected)
  func classifies(code: Int, category: FetchFailure.Class) async throws {
    try await WeChatBench.run(prepare: Self.natural[code] ?? { _ in }) { bench in
      if Self.natural[code] == nil { bench.simulator.setFault(.errorCode(code)) }
      let failure = try #require(await bench.fetch().known)
      #expect(failure.category == category)
      #expect(failure.code == code)
      #expect(!failure.isTransport)
      #expect(failure.reason.contains("errcode \(code)"))
      #expect(failure.egressAddress == (code == 40164 ? "127.0.0.1" : nil))
      #expect(failure.requestID?.utf8.count == (code == 45011 ? nil : 26))
      #expect(bench.simulator.audit.mints().isEmpty)
      #expect(bench.simulator.audit.count == 1)
      let holdOff: Duration? =
        switch code {
        case 89506: .seconds(86_400)
        case 89507: .seconds(3600)
        default: nil
        }
      #expect(failure.holdOff == holdOff)
    }
  }

  @Test("the table has every code that is expected, and no other but -1")
  func isComplete() {
    #expect(
      Set(WeChatError.table.map(\.code))
        == Set(Self.expected.map(\.0)).subtracting([99999]).union([-1]))
  }

  @Test(
    "request id and address are found whatever the message's wording",
    arguments: [
      ("invalid appid rid: 609deb67-3288bef4-69fe5dee", "609deb67-3288bef4-69fe5dee", nil),
      ("invalid appsecret, rid: 66b5fb8f-1-2", "66b5fb8f-1-2", nil),
      ("invalid appsecret rid:66b5fb8f-1-2", "66b5fb8f-1-2", nil),
      (
        "invalid ip 123.56.6.137 ipv6 ::ffff:123.56.6.137, not in whitelist rid: 6a13bf01-1-2",
        "6a13bf01-1-2", "123.56.6.137"
      ),
      ("invalid ip 2001:db8::1, not in whitelist", nil, "2001:db8::1"),
      ("invalid ip 119.253.43.19, not in whitelist hint: [a]", nil, "119.253.43.19"),
      ("ip is 10.0.0.1 now", nil, "10.0.0.1"),
      ("version 1.2.3 ip 300.1.1.1", nil, nil), ("system error", nil, nil), ("rid: ", nil, nil),
      ("ip ", nil, nil),
      ("rid: " + String(repeating: "a", count: 41), nil, nil),
    ] as [(String, String?, String?)])
  func readsMessages(message: String, requestID: String?, address: String?) {
    #expect(ErrorMessage.requestID(in: message) == requestID)
    #expect(ErrorMessage.address(in: message) == address)
  }

  @Test("a code may come as a string, with any message or none")
  func readsCodesAsStrings() async throws {
    try await WeChatBench.run { bench in
      for body in [#"{"errcode":"40013"}"#, #"{"errcode":40013,"errmsg":null}"#] {
        bench.simulator.setFault(.body(body, commits: false))
        let failure = try #require(await bench.fetch().known)
        #expect(failure.code == 40013)
        #expect(failure.category == .configuration)
      }
    }
  }

  @Test("a probe tells a live token from a dead one, and reads the budget")
  func probes() async throws {
    try await WeChatBench.run(prepare: { $0.maxOldTokens = 0 }) { bench in
      func probe(_ token: AccessToken) async -> ProbeOutcome {
        await bench.client.probe(
          token, from: .token, notAfter: .now + patience, timeout: patience
        ).outcome
      }
      let old = try #require(await bench.fetch().fetched?.token)
      #expect(await probe(old) == .alive(dailyLimit: 2000, remaining: 1999))
      _ = await bench.fetch()
      guard case .dead(40001, let requestID) = await probe(old) else {
        Issue.record("The replaced token passed for live")
        return
      }
      #expect(requestID != nil)
      for fault in [Fault.errorCode(48001), .errorCode(-1), .status(502), .mintThenDrop, .html] {
        bench.simulator.setFault(fault, endpoint: .quota)
        guard case .unclear = await probe(old) else {
          Issue.record("\(fault) passed for proof")
          continue
        }
      }
      let newest = try #require(bench.simulator.newestToken(of: WeChatBench.appID))
      bench.simulator.advance(by: 7_200_000)
      guard case .dead(42001, _) = await probe(AccessToken(newest)) else {
        Issue.record("The expired token passed for live")
        return
      }
    }
  }

  @Test("the second of a request id and of a Date header are read")
  func readsTimes() {
    #expect(ErrorMessage.second(ofRequestID: "609deb67-3288bef4-69fe5dee") == 0x609d_eb67)
    #expect(ErrorMessage.second(ofRequestID: "xyz") == nil)
    #expect(HTTPDate.second(of: "Tue, 08 Aug 2023 08:56:10 GMT") == 1_691_484_970)
    #expect(HTTPDate.second(of: "Tue, 05-Sep-2017 00:00:00 GMT") == 1_504_569_600)
    #expect(HTTPDate.second(of: "Thu, 29 Feb 2024 23:59:59 GMT") == 1_709_251_199)
    #expect(HTTPDate.second(of: "yesterday") == nil)
    #expect(HTTPDate.second(of: "Tue, 08 Aug 2023 25:00:00 GMT") == nil)
  }
}
