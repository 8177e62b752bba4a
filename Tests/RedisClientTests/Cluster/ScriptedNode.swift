import NIOCore
import NIOPosix
import RedisClient
import Synchronization
import TestSupport

/// A node of a cluster that answers each command as a test tells it, on a free port of 127.0.0.1.
final class ScriptedNode: Sendable {
  /// One command, and on which connection it came, counted from 1.
  struct Call: Sendable {
    let words: [String]
    let connection: Int
  }

  /// What is answered, as it goes over the wire; nil: nothing.
  typealias Script = @Sendable (Call) -> String?

  private struct State {
    var script: Script = { _ in "-ERR there is no script\r\n" }
    var calls: [Call] = []
    var connections = 0
  }

  let port: Int
  private let channel: any Channel
  private let state: Record

  /// Protects what is shared between the test and the connections.
  private final class Record: Sendable {
    let state = Mutex(State())
  }

  var address: RedisEndpoint.Address { .tcp(host: "127.0.0.1", port: port) }

  init() async throws {
    let record = Record()
    state = record
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let number = record.state.withLock { state in
            state.connections += 1
            return state.connections
          }
          try channel.pipeline.syncOperations.addHandler(Answering(record, number))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    guard let port = channel.localAddress?.port else {
      throw TimedOut("a port of the server", within: patience)
    }
    self.port = port
  }

  func stop() async { try? await channel.close() }

  /// What it answers from now on, but for the handshake.
  func answer(_ script: @escaping Script) { state.state.withLock { $0.script = script } }

  /// What it was asked, but for the handshake and for who serves what.
  var calls: [[String]] {
    state.state.withLock { $0.calls.map(\.words) }.filter { $0[0] != "CLUSTER" }
  }

  /// `CLUSTER SLOTS` as these have it: all slots, or those from which on others begin.
  static func slots(_ owners: [(from: Int, port: Int)], host: String = "127.0.0.1") -> String {
    var text = "*\(owners.count)\r\n"
    for (index, owner) in owners.enumerated() {
      let last = index + 1 < owners.count ? owners[index + 1].from - 1 : 16383
      text += "*3\r\n:\(owner.from)\r\n:\(last)\r\n"
      text += "*3\r\n$\(host.utf8.count)\r\n\(host)\r\n:\(owner.port)\r\n$2\r\nid\r\n"
    }
    return text
  }

  private final class Answering: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let record: Record
    private let number: Int
    private var received = ByteBuffer()

    init(_ record: Record, _ number: Int) {
      self.record = record
      self.number = number
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      received.writeImmutableBuffer(unwrapInboundIn(data))
      while let words = nextCommand() {
        if let answer = answer(words) {
          context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
        }
      }
    }

    private func answer(_ words: [String]) -> String? {
      switch words[0] {
      case "PING": return "+PONG\r\n"
      case "INFO": return "$22\r\nredis_version:7.0.15\r\n\r\n"
      default:
        let call = Call(words: words, connection: number)
        let script = record.state.withLock { state in
          state.calls.append(call)
          return state.script
        }
        return script(call)
      }
    }

    private func nextCommand() -> [String]? {
      var rest = received
      func line() -> String? {
        guard let end = rest.readableBytesView.firstIndex(of: 13),
          let text = rest.readString(length: end - rest.readerIndex),
          rest.readString(length: 2) != nil
        else { return nil }
        return text
      }
      guard let count = line().flatMap({ Int($0.dropFirst()) }) else { return nil }
      var words: [String] = []
      for _ in 0..<count {
        guard let length = line().flatMap({ Int($0.dropFirst()) }),
          let word = rest.readString(length: length), rest.readString(length: 2) != nil
        else { return nil }
        words.append(word)
      }
      received = rest
      return words
    }
  }
}
