import Foundation
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
    let fetched = try await json("\(addresses[0])/cgi-bin/token?\(query)")
    #expect(fetched["expires_in"] as? Int == 60)
    let token = try #require(fetched["access_token"] as? String)
    let verdict = try await json("\(addresses[1])/judge?token=\(token)")
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

  private func json(_ address: String) async throws -> [String: Any] {
    let (out, writing) = openPipe()
    let process = try ChildProcess(
      ["curl", "-s", "--max-time", "5", address], standardOutput: writing)
    close(writing)
    let output = FileHandle(fileDescriptor: out, closeOnDealloc: true).readDataToEndOfFile()
    guard process.succeeds() else { throw SidecarProcess.Failure("curl failed") }
    return try JSONSerialization.jsonObject(with: output) as? [String: Any] ?? [:]
  }
}
