import Foundation
import NIOCore
import NIOPosix
import TestSupport
import Testing

@Suite struct SimulateWeChatTests {
  @Test("simulate-wechat prints its addresses, answers there, and ends with 0 on SIGTERM")
  func answers() async throws {
    let process = try SidecarProcess(
      [
        "simulate-wechat", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--seed", "7",
        "--appid", "wxsimulated", "--secret", "made-up", "--life", "60", "--grace", "5",
      ], environment: [:], instance: "simulate-wechat")
    let addresses = try await waited(for: "the addresses", within: .seconds(10)) {
      () -> [String]? in
      let lines = process.outputText.split(separator: "\n").map(String.init)
      return lines.count == 2 ? lines : nil
    }
    let query = "grant_type=client_credential&appid=wxsimulated&secret=made-up"
    let fetched = try await json(addresses[0], "/cgi-bin/token?\(query)")
    #expect(fetched["expires_in"] as? Int == 60)
    let token = try #require(fetched["access_token"] as? String)
    let verdict = try await json(addresses[1], "/judge?token=\(token)")
    #expect(verdict["live"] as? Bool == true)
    process.terminate()
    #expect(try await process.waitForExit() == .code(0))
  }

  @Test("an address that is none is a usage error", arguments: ["nowhere", "127.0.0.1:x", ":1"])
  func wrongAddress(address: String) async throws {
    let process = try SidecarProcess(
      ["simulate-wechat", "--listen", address], environment: [:], instance: "simulate-wechat")
    #expect(try await process.waitForExit() == .code(64))
    #expect(process.errorText.contains("--listen takes host:port"))
  }

  @Test(
    "addresses that others reach are refused: whoever reaches the simulator rules it",
    arguments: [
      ("--listen", "0.0.0.0:0"), ("--listen", "[::]:0"), ("--listen", "192.0.2.1:0"),
      ("--listen", "127.example.com:0"), ("--control", "0.0.0.0:0"),
    ])
  func refusesOthers(flag: String, address: String) async throws {
    let process = try SidecarProcess(
      ["simulate-wechat", flag, address], environment: [:], instance: "simulate-wechat")
    #expect(try await process.waitForExit() == .code(64))
    #expect(process.errorText.contains("\(flag) takes a loopback address"))
  }

  @Test("the control API listens beside the API when nothing is said of it")
  func besideTheAPI() async throws {
    let simulator = try SidecarProcess(
      ["simulate-wechat", "--listen", "localhost:0"], environment: [:],
      instance: "simulate-wechat")
    try await waitUntil("both addresses", within: .seconds(10)) {
      simulator.outputText.components(separatedBy: "http://localhost:").count == 3
    }
    let port = try #require(simulator.outputText.firstMatch(of: #/localhost:([0-9]+)/#)?.1)
    let second = try SidecarProcess(
      ["simulate-wechat", "--listen", "localhost:\(port)"], environment: [:],
      instance: "simulate-wechat")
    #expect(try await second.waitForExit() == .code(1))
    #expect(
      second.errorText
        == "wch-sidecar: cannot listen on localhost:\(port): Address already in use\n")
    simulator.terminate()
    #expect(try await simulator.waitForExit() == .code(0))
  }

  /// What a `GET` of the path is answered.
  private func json(_ base: String, _ path: String) async throws -> [String: Any] {
    let url = try #require(URL(string: base))
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: try #require(url.host()), port: try #require(url.port)) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    let answer = try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(
        ByteBuffer(string: "GET \(path) HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n\r\n"))
      var text = ""
      for try await part in inbound { text += String(buffer: part) }
      return text
    }
    let end = try #require(answer.firstRange(of: "\r\n\r\n"))
    let body = Data(answer[end.upperBound...].utf8)
    return try JSONSerialization.jsonObject(with: body) as? [String: Any] ?? [:]
  }
}
