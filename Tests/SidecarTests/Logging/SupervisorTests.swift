import Foundation
import Glibc
import TestSupport
import Testing

@testable import Sidecar

/// systemd's protocol, on a real datagram socket.
@Suite("The supervisor") struct SupervisorTests {
  private static let names = [
    FileManager.default.temporaryDirectory.appending(path: "wch-notify-\(UUID())").path,
    "@wch-notify-\(UUID())",
  ]

  @Test("every message gets to a socket with a path, and to an abstract one", arguments: names)
  func messages(name: String) throws {
    let listener = try NotifySocket(name)
    let supervisor = try #require(Supervisor(environment: ["NOTIFY_SOCKET": name]))
    supervisor.ready()
    #expect(listener.next() == "READY=1")
    supervisor.status("all is well")
    supervisor.status("all is well")
    #expect(listener.next() == "STATUS=all is well")
    #expect(listener.next() == nil, "what was said is not said again")
    supervisor.reloading()
    let reloading = try #require(listener.next())
    #expect(reloading.hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
    let microseconds = try #require(Int64(reloading.split(separator: "=").last ?? ""))
    #expect(microseconds > 0)
    supervisor.reloaded()
    #expect(listener.next() == "READY=1")
    supervisor.lives()
    #expect(listener.next() == "WATCHDOG=1")
    supervisor.stopping()
    #expect(listener.next() == "STOPPING=1")
  }

  @Test("a status is one line, and cut")
  func status() throws {
    let name = "@wch-notify-\(UUID())"
    let listener = try NotifySocket(name)
    let supervisor = try #require(Supervisor(environment: ["NOTIFY_SOCKET": name]))
    supervisor.status("a\nREADY=1\u{0}" + String(repeating: "x", count: 1000))
    let status = try #require(listener.next())
    #expect(status.hasPrefix("STATUS=a READY=1 xxx"))
    #expect(status.utf8.count <= 7 + Supervisor.longestStatus)
  }

  @Test("without a socket, or one of another kind, there is no supervisor")
  func none() {
    #expect(Supervisor(environment: [:]) == nil)
    let longest = "/" + String(repeating: "x", count: 200)
    for name in ["", "/", "@", "vsock:2:1", "relative", longest] {
      #expect(Supervisor(environment: ["NOTIFY_SOCKET": name]) == nil, "\(name)")
    }
    // Nobody has to be there.
    Supervisor(environment: ["NOTIFY_SOCKET": "/nope/x"])?.ready()
  }

  @Test("signs of life are due when this very process is asked for them")
  func watchdog() {
    func watchdog(_ more: [String: String]) -> Duration? {
      Supervisor(environment: ["NOTIFY_SOCKET": "@x"].merging(more) { $1 })?.watchdog
    }
    #expect(watchdog([:]) == nil)
    #expect(watchdog(["WATCHDOG_USEC": "3000000"]) == .seconds(3))
    #expect(watchdog(["WATCHDOG_USEC": "0"]) == nil)
    #expect(watchdog(["WATCHDOG_USEC": "much"]) == nil)
    #expect(watchdog(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "\(getpid())"]) == .seconds(3))
    #expect(watchdog(["WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"]) == nil)
  }

  @Test("a stream is the journal's when it is the socket that systemd named")
  func journal() throws {
    var pair: [CInt] = [-1, -1]
    let made = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair)
    try #require(made == 0)
    defer { for descriptor in pair { close(descriptor) } }
    let target = try FileManager.default.destinationOfSymbolicLink(
      atPath: "/proc/self/fd/\(pair[0])")
    let inode = target.filter(\.isNumber)
    #expect(LogOutput.isJournal("8:\(inode)", pair[0]))
    #expect(!LogOutput.isJournal("8:\(inode)", pair[1]))
    #expect(!LogOutput.isJournal("8:\(inode)1", pair[0]))
    for stream in ["", "8", "8:", ":", "8:x", "8:-1", "8:\(inode):1"] {
      #expect(!LogOutput.isJournal(stream, pair[0]), "\(stream)")
    }
  }
}
