import Dialing
import NIOCore
import NIOPosix
import Testing

@Suite("Dialer")
struct DialerTests {
  @Test("a name with an address is reached")
  func reached() async throws {
    let group = MultiThreadedEventLoopGroup.singleton
    let server = try await ServerBootstrap(group: group).bind(host: "127.0.0.1", port: 0).get()
    defer { server.close(promise: nil) }
    let dialed = try await Dialer().connect(
      host: "localhost", port: server.localAddress?.port ?? 0, deadline: .now + .seconds(5),
      on: group.next()
    ) { $0 }
    #expect(dialed.address.port == server.localAddress?.port)
    try await dialed.channel.close().get()
  }
}
