import Foundation
import NIOCore
import NIOPosix
import Synchronization
import TestSupport
import Testing

@testable import Dialing

@Suite("Dialer", .serialized)
struct DialerTests {
  private typealias Answer = NameLookUps.Answer

  /// A resolver of the test's own: what it says of each question, which it may hold back.
  private final class Names: Sendable {
    /// Protects what is answered and asked: look-ups come on threads of their own.
    private let state = Mutex(State())

    private struct State {
      var answers: [String: Answer] = [:]
      var asked: [String] = []
      var isReleased = false
      /// Each look-up that hangs waits for one, which is signalled with any change.
      var waiting: [DispatchSemaphore] = []

      mutating func wakeAll() {
        for semaphore in waiting { semaphore.signal() }
        waiting = []
      }
    }

    /// Without an answer for both families, or for one, the look-up hangs until there is one.
    func set(_ name: String, _ family: Dialer.Family, _ answer: Answer?) {
      state.withLock { state in
        state.answers["\(name) \(family)"] = answer
        state.wakeAll()
      }
    }

    /// Lets everything go that hangs.
    func release() {
      state.withLock { state in
        state.isReleased = true
        state.wakeAll()
      }
    }

    var asked: [String] { state.withLock { $0.asked } }

    func resolve(_ name: String, _ family: Dialer.Family) -> Answer {
      state.withLock { $0.asked.append("\(name) \(family)") }
      while true {
        let change = DispatchSemaphore(value: 0)
        let answer = state.withLock { state -> Answer? in
          if let answer = state.answers["\(name) \(family)"] { return answer }
          if state.isReleased { return .failure(reason: "released") }
          state.waiting.append(change)
          return nil
        }
        if let answer { return answer }
        // A thread of the dialer's, which is there to be blocked.
        change.wait()
      }
    }
  }

  private func addresses(_ texts: String...) throws -> Answer {
    .addresses(try texts.map { try SocketAddress(ipAddress: $0, port: 0) })
  }

  private func listener(on address: String = "127.0.0.1", port: Int = 0) async throws -> any Channel
  {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .bind(host: address, port: port).get()
  }

  /// Connects, closes, and says to which address.
  private func dial(
    _ dialer: Dialer, _ host: String, port: Int, family: Dialer.Family = .any,
    within limit: Duration = patience
  ) async throws -> String {
    let dialed = try await dialer.connect(
      host: host, port: port, family: family, deadline: .now + limit,
      on: MultiThreadedEventLoopGroup.singleton.next()
    ) { $0 }
    try await dialed.channel.close().get()
    return dialed.address.ipAddress ?? "?"
  }

  private func failure(
    _ dialer: Dialer, _ host: String, port: Int, family: Dialer.Family = .any,
    within limit: Duration = patience
  ) async -> DialFailure? {
    do {
      _ = try await dial(dialer, host, port: port, family: family, within: limit)
      return nil
    } catch {
      return error as? DialFailure
    }
  }

  @Test("a name of the system's is reached, and so is an address in any spelling")
  func reached() async throws {
    let server = try await listener()
    let port = try #require(server.localAddress?.port)
    let names = Names()
    let dialer = Dialer(resolve: names.resolve)
    for host in ["127.0.0.1", "127.1", "0x7f.1"] {
      #expect(try await dial(dialer, host, port: port) == "127.0.0.1")
    }
    #expect(names.asked.isEmpty)
    #expect(try await dial(Dialer(), "localhost", port: port, family: .ipv4) == "127.0.0.1")
    try await server.close().get()
  }

  @Test("an unanswered AAAA costs no more than the resolution delay")
  func silentFamily() async throws {
    let server = try await listener()
    let port = try #require(server.localAddress?.port)
    let names = Names()
    names.set("redis.test", .ipv4, try addresses("127.0.0.1"))
    let dialer = Dialer(resolve: names.resolve)
    let start = ContinuousClock.now
    #expect(try await dial(dialer, "redis.test", port: port) == "127.0.0.1")
    // 51 ms, and what a busy machine adds.
    #expect(start.duration(to: .now) < .seconds(2))
    #expect(names.asked.sorted() == ["redis.test any", "redis.test ipv4", "redis.test ipv6"])
    names.release()
    try await server.close().get()
  }

  @Test("an answer that outlives its attempt serves the next one")
  func late() async throws {
    let server = try await listener()
    let port = try #require(server.localAddress?.port)
    let names = Names()
    let dialer = Dialer(resolve: names.resolve)
    guard
      case .lookUpTimedOut("slow.test") = await failure(
        dialer, "slow.test", port: port, within: .milliseconds(200))
    else {
      Issue.record("it was reached")
      return
    }
    names.set("slow.test", .any, try addresses("127.0.0.1"))
    try await waitUntil("the answer is kept", within: patience) {
      dialer.lookUps.known(of: "slow.test", .any).late.count == 1
    }
    // From here on nobody answers, and the family look-ups of the first attempt still hang.
    names.set("slow.test", .any, nil)
    #expect(try await dial(dialer, "slow.test", port: port) == "127.0.0.1")
    names.release()
    try await server.close().get()
  }

  @Test("the last good address serves when a look-up fails or hangs, and no longer when it answers")
  func lastGood() async throws {
    let server = try await listener()
    let port = try #require(server.localAddress?.port)
    let names = Names()
    let dialer = Dialer(resolve: names.resolve)
    for family in [Dialer.Family.any, .ipv4, .ipv6] {
      names.set("redis.test", family, try addresses("127.0.0.1"))
    }
    #expect(try await dial(dialer, "redis.test", port: port) == "127.0.0.1")
    for family in [Dialer.Family.any, .ipv4, .ipv6] {
      names.set("redis.test", family, .failure(reason: "no"))
    }
    #expect(try await dial(dialer, "redis.test", port: port) == "127.0.0.1")
    for family in [Dialer.Family.any, .ipv4, .ipv6] { names.set("redis.test", family, nil) }
    #expect(
      try await dial(dialer, "redis.test", port: port, within: .seconds(1)) == "127.0.0.1")
    // Nobody listens there: a fresh answer is taken at its word.
    for family in [Dialer.Family.any, .ipv4, .ipv6] {
      names.set("redis.test", family, try addresses("127.0.0.2"))
    }
    guard
      case .unreachable(let attempts) = await failure(dialer, "redis.test", port: port),
      let attempt = attempts.first
    else {
      Issue.record("it was reached")
      return
    }
    #expect(attempts.count == 1)
    #expect(attempt.address == "127.0.0.2:\(port)")
    #expect((attempt.error as? IOError)?.errnoCode == ECONNREFUSED)
    try await server.close().get()
  }

  @Test("names that hang block no other name, and too many of them are told")
  func hanging() async throws {
    let server = try await listener()
    let port = try #require(server.localAddress?.port)
    let names = Names()
    for family in [Dialer.Family.any, .ipv4, .ipv6] {
      names.set("good.test", family, try addresses("127.0.0.1"))
    }
    let dialer = Dialer(resolve: names.resolve)
    func hang(_ range: Range<Int>) async -> [DialFailure?] {
      await withTaskGroup(of: DialFailure?.self) { group in
        for index in range {
          group.addTask {
            await failure(dialer, "\(index).hangs.test", port: port, within: .milliseconds(200))
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
    }
    // The threads of these hang on after them.
    _ = await hang(0..<4)
    #expect(try await dial(dialer, "good.test", port: port) == "127.0.0.1")
    let failures = await hang(4..<12)
    let told = failures.compactMap { failure -> String? in
      if case .notResolved(_, let reason) = failure { reason } else { nil }
    }
    #expect(!told.isEmpty)
    #expect(told.allSatisfy { $0.hasPrefix("all threads for look-ups are held by 0.hangs.test") })
    names.release()
    try await waitUntil("a thread is free again", within: patience) {
      (try? await dial(dialer, "good.test", port: port)) == "127.0.0.1"
    }
    try await server.close().get()
  }

  @Test("cancelled, and at its deadline, a connection is given up at once, and nothing stays open")
  func givenUp() async throws {
    let names = Names()
    let dialer = Dialer(resolve: names.resolve)
    // Nothing takes these connections: the queue of the listener is full.
    let listener = try FullListener()
    defer { listener.close() }
    for _ in 0..<20 {
      guard
        case .connectTimedOut(["127.0.0.1:\(listener.port)"]) = await failure(
          dialer, "127.0.0.1", port: listener.port, within: .milliseconds(20))
      else {
        Issue.record("it was reached")
        return
      }
    }
    for host in ["127.0.0.1", "hangs.test"] {
      let start = ContinuousClock.now
      let dial = Task { await failure(dialer, host, port: listener.port) }
      dial.cancel()
      guard case .cancelled = await dial.value else {
        Issue.record("it was not cancelled")
        return
      }
      #expect(start.duration(to: .now) < .seconds(10))
    }
    do {
      try await waitUntil("every socket is closed", within: patience) {
        try listener.socketsLeadingThere().count == listener.fillers
      }
    } catch {
      Issue.record("\(error): \(try listener.socketsLeadingThere())")
    }
    names.release()
  }

  @Test("of a race only one connection stays")
  func losers() async throws {
    // The first address does not answer; the second one is tried after 250 ms and does.
    let listener = try FullListener()
    defer { listener.close() }
    let server = try await self.listener(on: "127.0.0.2", port: listener.port)
    let names = Names()
    names.set("redis.test", .any, try addresses("127.0.0.1", "127.0.0.2"))
    let dialer = Dialer(resolve: names.resolve)
    #expect(try await dial(dialer, "redis.test", port: listener.port) == "127.0.0.2")
    try await waitUntil("the loser is closed", within: patience) {
      try listener.socketsLeadingThere().count == listener.fillers
    }
    try await server.close().get()
  }

  @Test("an address of the other family is refused, and none is looked up")
  func otherFamily() async throws {
    guard
      case .notResolved("127.0.0.1", let reason) = await failure(
        Dialer(), "127.0.0.1", port: 1, family: .ipv6)
    else {
      Issue.record("it was reached")
      return
    }
    #expect(reason == "it is no IPv6 address")
  }
}

/// A listener on 127.0.0.1 whose queue is full: whoever connects waits.
private final class FullListener: Sendable {
  let port: Int
  /// Connections that fill the queue.
  let fillers: Int
  private let descriptors: [CInt]

  init() throws {
    port = try FreePort.pick()
    let address = try SocketAddress(ipAddress: "127.0.0.1", port: port)
    let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    let isListening = unsafe address.withSockAddr { address, length in
      unsafe bind(listener, address, socklen_t(length)) == 0 && listen(listener, 0) == 0
    }
    guard isListening else { throw SocketAddressError.unsupported }
    var fillers: [CInt] = []
    // A queue of none has room for one or two.
    for _ in 0..<4 {
      let filler = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | O_NONBLOCK, 0)
      _ = unsafe address.withSockAddr { address, length in
        unsafe connect(filler, address, socklen_t(length))
      }
      fillers.append(filler)
    }
    self.fillers = fillers.count
    descriptors = fillers + [listener]
  }

  func close() { for descriptor in descriptors { Glibc.close(descriptor) } }

  /// The sockets of this process that lead there, connected or not, as the kernel lists them.
  ///
  /// A child that another suite starts at the same time may hold on to one that is closed here.
  func socketsLeadingThere() throws -> [Substring] {
    let files = FileManager.default
    let own = Set(
      try files.contentsOfDirectory(atPath: "/proc/self/fd").compactMap {
        try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
      })
    // The kernel gives it a page at a time, and Foundation takes a short read for the end.
    let file = unsafe open("/proc/net/tcp", O_RDONLY)
    defer { Glibc.close(file) }
    var bytes: [UInt8] = []
    var page = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = unsafe read(file, &page, page.count)
      guard count > 0 else { break }
      bytes += page.prefix(count)
    }
    let table = String(decoding: bytes, as: UTF8.self)
    let there = "0100007F:" + String(format: "%04X", port)
    return table.split(separator: "\n").filter { line in
      let columns = line.split(separator: " ")
      // Those that are closed and only waited for (TIME_WAIT) do not count.
      return columns.count > 9 && columns[2] == there && columns[3] != "06"
        && own.contains("socket:[\(columns[9])]")
    }
  }
}
