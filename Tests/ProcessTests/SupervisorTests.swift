import Foundation
import TestSupport
import Testing

/// systemd's protocol and its journal, with the program that people run.
@Suite struct SupervisorTests {
  @Test(
    "it is ready once it listens, says how it is, lives while its loop does, and says its end",
    arguments: [true, false])
  func notified(isAbstract: Bool) async throws {
    try await Deployment.run { deployment in
      let listener = try NotifySocket(
        isAbstract
          ? "@wch-\(UUID())" : deployment.redis.directory.appendingPathComponent("notify").path)
      let replica = try deployment.start(
        "a",
        Deployment.brisk.merging([
          "NOTIFY_SOCKET": listener.name, "WATCHDOG_USEC": "400000",
        ]) { $1 })
      try await waitUntil("it is ready", within: patience) { listener.has("READY=1") }
      #expect(try await replica.get("/livez").status == 200)
      try await waitUntil("all is well", within: patience) {
        listener.has("STATUS=all is well: leads, 1 account")
      }
      #expect(listener.hear().count { $0 == "READY=1" } == 1)
      let before = listener.hear().count
      try await waitUntil("three signs of life", within: patience) {
        listener.hear().dropFirst(before).count { $0 == "WATCHDOG=1" } >= 3
      }

      deployment.redis.kill()
      try await waitUntil("the verdict", within: patience) {
        listener.has("STATUS=Redis cannot be reached", after: before)
      }
      try await deployment.redis.restart()
      try await waitUntil("all is well again", within: patience) {
        listener.hear().last { $0.hasPrefix("STATUS=") }?.hasPrefix("STATUS=all is well") == true
      }

      let reload = listener.hear().count
      #expect(kill(replica.id, SIGHUP) == 0)
      try await waitUntil("it is ready again", within: patience) {
        listener.has("READY=1", after: reload)
      }
      let heard = listener.hear().dropFirst(reload).filter { !$0.hasPrefix("WATCHDOG") }
      #expect(heard.first?.hasPrefix("RELOADING=1\nMONOTONIC_USEC=") == true, "\(heard)")

      replica.terminate()
      #expect(try await replica.waitForExit() == .code(0))
      #expect(listener.hear().last { $0 != "WATCHDOG=1" } == "STOPPING=1")
    }
  }

  @Test("under the journal every line has its priority, and elsewhere none")
  func journal() async throws {
    try await Deployment.run { deployment in
      // As systemd has it: stderr is a socket, and JOURNAL_STREAM names it.
      for isNamed in [true, false] {
        var pair: [CInt] = [-1, -1]
        let made = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair)
        try #require(made == 0)
        let (ours, theirs) = (pair[0], pair[1])
        defer { close(ours) }
        let inode = try FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/self/fd/\(theirs)"
        ).filter(\.isNumber)
        let process = try ChildProcess(
          [SidecarProcess.binary, "run"],
          environment: deployment.environment(instance: "a").merging([
            "JOURNAL_STREAM": isNamed ? "8:\(inode)" : "8:1"
          ]) { $1 }, standardError: theirs)
        close(theirs)
        defer { process.end(SIGKILL) }
        var text = ""
        func read() {
          var bytes = [UInt8](repeating: 0, count: 65_536)
          while true {
            let count = unsafe recv(ours, &bytes, bytes.count, CInt(MSG_DONTWAIT))
            guard count > 0 else { return }
            text += String(decoding: bytes.prefix(count), as: UTF8.self)
          }
        }
        try await waitUntil("it leads", within: patience) {
          read()
          return text.contains("This replica leads")
        }
        process.signal(SIGTERM)
        try await waitUntil("its end", within: patience) { !process.isRunning }
        read()
        let lines = text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasPrefix(isNamed ? "<" : "{") }, "\(text)")
        guard isNamed else { continue }
        #expect(lines.contains { $0.hasPrefix("<5>{") && $0.contains("This replica leads") })
        #expect(lines.contains { $0.hasPrefix("<6>{") && $0.contains("HTTP interface listens") })
        #expect(lines.contains { $0.hasPrefix("<7>{") })
      }
    }
  }
}
