import Dialing
import Logging
import NIOPosix
import NIOSSL
import TestSupport
import Testing
import TokenCore

@testable import Sidecar

@Suite("Answers on their way") struct AnswerEndTests {
  static let json = #"{"access_token":"a","expires_in":7200}"#

  static func request(timeout: Duration = patience) -> WeChatRequest {
    WeChatRequest(
      account: .unnamed,
      .token(appID: "wx1", appSecret: Secret("hush"), isForced: false),
      api: .token,
      notAfter: .now + patience, timeout: timeout)
  }

  /// Fetches once from a server that says this.
  private func fetch(
    _ steps: [RawServer.Step], end: RawServer.End = .close, encrypted: Bool = false,
    timeout: Duration = patience
  ) async throws -> FetchOutcome {
    try await RawServer.run(steps, end: end, encrypted: encrypted) { server in
      let client = WeChatClient(
        hosts: [
          BaseURL(
            encrypted ? "https://localhost:\(server.port)" : "http://127.0.0.1:\(server.port)")!
        ],
        extraCertificates: try NIOSSLCertificate.fromPEMBytes(
          Array(FixedCertificates.authority.utf8)),
        logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      return await client.fetch(Self.request(timeout: timeout)).outcome
    }
  }

  /// Heads under which the text is cut short, or has no end of its own.
  private static func framings(_ body: String) -> [String] {
    [
      "HTTP/1.1 200 OK\r\n\r\n\(body)", "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n\(body)",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n",
    ]
  }

  @Test(
    "an answer that is whole as JSON is one however its connection ends, and a half one never",
    arguments: RawServer.End.allCases, [false, true])
  func ends(end: RawServer.End, encrypted: Bool) async throws {
    // What never ends is taken when the call's time is over.
    let timeout: Duration = end == .never ? .seconds(4) : patience
    let count = end == .never ? 1 : 3
    for text in Self.framings(Self.json).suffix(count) {
      let outcome = try await fetch(
        [.head(text)], end: end, encrypted: encrypted, timeout: timeout)
      #expect(outcome.fetched?.token == AccessToken("a"), "\(text): \(outcome)")
    }
    for text in Self.framings(String(Self.json.dropLast())).suffix(count) {
      let outcome = try await fetch(
        [.head(text)], end: end, encrypted: encrypted, timeout: timeout)
      #expect(outcome.unknown?.category == .transient, "\(text): \(outcome)")
    }
  }

  @Test("a refusal whose connection ends badly is a refusal")
  func keepsRefusals() async throws {
    for text in Self.framings(#"{"errcode":40013,"errmsg":"invalid appid rid: 1-2-3"}"#) {
      let outcome = try await fetch([.head(text)], end: .reset)
      #expect(outcome.known?.code == 40013, "\(outcome)")
    }
  }

  @Test("a coding that nobody asked for is read, within bounds")
  func readsCodings() async throws {
    func answer(_ coding: String, _ body: [UInt8]) async throws -> FetchOutcome {
      let head =
        "HTTP/1.1 200 OK\r\nContent-Encoding: \(coding)\r\nContent-Length: \(body.count)\r\n\r\n"
      return try await fetch([.init(cue: .head, reply: Array(head.utf8) + body)])
    }
    let gzip = AnswerReadingTests.gzip
    #expect(try await answer("gzip", gzip).fetched != nil)
    #expect(try await answer("deflate", AnswerReadingTests.zlib).fetched != nil)
    #expect(try await answer("identity", Array(Self.json.utf8)).fetched != nil)
    for (coding, body, words) in [
      ("br", gzip, "is not known"), ("gzip", Array(Self.json.utf8), "is not what its coding says"),
      ("deflate", AnswerReadingTests.bomb, "longer than 65536 bytes"),
      ("gzip", Array(gzip.dropLast(20)), "cut short"),
    ] {
      let failure = try #require(try await answer(coding, body).unknown)
      #expect(failure.reason.contains(words), "\(failure.reason)")
    }
  }

  @Test("what cannot be understood is told in words, and the request forbids caches")
  func tellsInWords() async throws {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
    let failure = try #require(try await fetch([.head(text)]).unknown)
    #expect(failure.reason.contains("several lengths that differ"))
    try await RawServer.run([.head("HTTP/1.1 200 OK\r\n\r\n\(Self.json)")]) { server in
      let client = WeChatClient(
        hosts: [BaseURL("http://127.0.0.1:\(server.port)")!], logger: Logger(label: "test"),
        eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      _ = await client.fetch(Self.request())
      let head = try #require(server.heard.first)
      #expect(head.contains("\r\nhost: 127.0.0.1:\(server.port)\r\n"))
      #expect(head.contains("\r\naccept-encoding: identity\r\n"))
      #expect(head.contains("\r\ncache-control: no-cache, no-store\r\n"))
      #expect(head.contains("\r\npragma: no-cache\r\n"))
    }
  }

  @Test("Age shortens the life, and an answer as old as its token's life is none")
  func heedsAge() async throws {
    let before = MonotonicClock.now()
    let aged = "HTTP/1.1 200 OK\r\nAge: 100\r\nDate: Tue, 08 Aug 2023 08:56:10 GMT\r\n\r\n"
    let fetched = try #require(try await fetch([.head(aged + Self.json)]).fetched)
    #expect(fetched.sentAt < MonotonicClock.now() + .seconds(-100))
    #expect(fetched.sentAt >= before + .seconds(-100))
    let old = "HTTP/1.1 200 OK\r\nAge: 99999999999999999999\r\n\r\n"
    let failure = try #require(try await fetch([.head(old + Self.json)]).unknown)
    #expect(failure.reason.contains("is there a cache before WeChat?"))
  }
}

@Suite("Proxies before WeChat") struct ProxyTests {
  /// Fetches once through a server that plays the proxy.
  private func fetch(
    _ steps: [RawServer.Step], end: RawServer.End = .never, url: String = "http://",
    host: String = "https://wechat.test:8443"
  ) async throws -> (failure: FetchFailure?, heard: [[UInt8]]) {
    try await RawServer.run(steps, end: end) { server in
      let client = WeChatClient(
        hosts: [BaseURL(host)!],
        proxies: try ProxyRules(setting: "\(url)127.0.0.1:\(server.port)", environment: [:]),
        logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      let outcome = await client.fetch(AnswerEndTests.request(timeout: .seconds(3))).outcome
      return (outcome.known, server.heardBytes)
    }
  }

  @Test(
    "CONNECT names host and port twice, and what the proxy answers reaches the log",
    arguments: [
      ("HTTP/1.1 400 Bad Request\r\n\r\n", "answered 400 Bad Request to CONNECT"),
      ("HTTP/1.0 403 Nope\r\nContent-Length: 9999999\r\n\r\npage", "answered 403 Forbidden"),
      ("HTTP/1.1 503\r\nTransfer-Encoding: chunked\r\n\r\n", "answered 503 Service Unavailable"),
      ("HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n", "it wants a user and a password"),
      ("220 ftp\r\n", "was not understood"),
    ])
  func tellsRefusals(answer: String, words: String) async throws {
    for (host, target) in [
      ("https://wechat.test:8443", "wechat.test:8443"), ("https://[::2]", "[::2]:443"),
    ] {
      let (failure, heard) = try await fetch([.head(answer)], host: host)
      let known = try #require(failure)
      #expect(known.isTransport)
      #expect(known.reason.contains(words), "\(known.reason)")
      let head = String(decoding: try #require(heard.first), as: UTF8.self)
      #expect(head == "CONNECT \(target) HTTP/1.1\r\nhost: \(target)\r\n\r\n")
    }
  }

  @Test("a wrong password is told as one, and a proxy that hangs up in words of its own")
  func tellsPasswords() async throws {
    let (failure, heard) = try await fetch(
      [.head("HTTP/1.1 407 Proxy\r\n\r\n")], url: "http://u:p%401@")
    #expect(failure?.reason.contains("it refused the password") == true)
    #expect(failure?.reason.contains("p@1") == false)
    #expect(
      String(decoding: try #require(heard.first), as: UTF8.self)
        .contains("\r\nproxy-authorization: Basic dTpwQDE=\r\n"))
    let gone = try await fetch([.head("")], end: .close)
    #expect(gone.failure?.reason.contains("the proxy closed the connection") == true)
  }

  @Test(
    "a SOCKS proxy is given the name, and its refusals are told",
    arguments: [
      ([5, 1], "wants a user and a password"), ([4, 0], "does not speak SOCKS 5"),
      ([5, 2], "wants a user and a password"),
    ] as [([UInt8], String)])
  func refusesSOCKS(greeting: [UInt8], words: String) async throws {
    let (failure, _) = try await fetch(
      [.init(cue: .bytes(3), reply: greeting)], url: "socks5h://")
    #expect(failure?.reason.contains(words) == true, "\(failure?.reason ?? "")")
  }

  @Test("through a SOCKS proxy goes the call, with the name for the proxy to look up")
  func speaksSOCKS() async throws {
    let steps = [
      RawServer.Step(cue: .bytes(3), reply: [5, 0]),
      .init(cue: .bytes(18), reply: [5, 0, 0, 1, 127, 0, 0, 1, 1, 2]),
      .head("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n\(AnswerEndTests.json)"),
    ]
    try await RawServer.run(steps) { server in
      let client = WeChatClient(
        hosts: [BaseURL("http://wechat.test:80")!],
        proxies: try ProxyRules(setting: "socks5://127.0.0.1:\(server.port)", environment: [:]),
        logger: Logger(label: "test"), eventLoopGroup: MultiThreadedEventLoopGroup.singleton)
      #expect(await client.fetch(AnswerEndTests.request()).outcome.fetched != nil)
      #expect(server.heardBytes.first == [5, 1, 0])
      #expect(server.heardBytes[1] == [5, 1, 0, 3, 11] + Array("wechat.test".utf8) + [0, 80])
    }
    let (failure, _) = try await fetch(
      [
        .init(cue: .bytes(3), reply: [5, 0]),
        .init(cue: .bytes(18), reply: [5, 4, 0, 1, 0, 0, 0, 0, 0, 0]),
      ], url: "socks5://")
    #expect(failure?.reason.contains("its name is not known") == true)
  }
}

@Suite("Families of addresses") struct AddressFamilyTests {
  private static let way = AddressFamilies.Way(
    account: .unnamed, host: BaseURL("https://wechat.test")!)

  @Test("the other family is asked next, once, and is preferred when it works")
  func prefers() {
    var families = AddressFamilies()
    #expect(families.family(Self.way) == .any)
    #expect(
      families.refused(Self.way, over: .ipv6, address: "::2", hasOther: true)
        == .tryOther(refused: "::2"))
    #expect(families.family(Self.way) == .ipv4)
    #expect(families.accepted(Self.way, over: .ipv4) == .works(refused: "::2"))
    #expect(families.accepted(Self.way, over: .ipv4) == nil, "it is told once")
    #expect(families.family(Self.way) == .ipv4)
    // The list was changed to the other address.
    #expect(
      families.refused(Self.way, over: .ipv4, address: "1.2.3.4", hasOther: true)
        == .tryOther(refused: "1.2.3.4"))
    #expect(families.family(Self.way) == .ipv6)
  }

  @Test("where both are refused, people must act; a family that is gone is not preferred")
  func givesUp() {
    var families = AddressFamilies()
    _ = families.refused(Self.way, over: .ipv6, address: "::2", hasOther: true)
    #expect(
      families.refused(Self.way, over: .ipv4, address: "1.2.3.4", hasOther: true)
        == .bothRefused("::2"))
    #expect(families.family(Self.way) == .any)
    #expect(families.refused(Self.way, over: .ipv4, address: "1.2.3.4", hasOther: false) == nil)
    #expect(families.family(Self.way) == .any)
    _ = families.refused(Self.way, over: .ipv6, address: "::2", hasOther: true)
    families.failed(Self.way)
    #expect(families.family(Self.way) == .any)
  }
}
