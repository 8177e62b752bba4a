import NIOCore
import NIOPosix
import Synchronization

/// A DNS server on port 53 of 127.0.0.1, which says what a test has it say.
///
/// For a network of the test's own, where nobody else has that port.
package final class NameServer: Sendable {
  /// What is asked of a name.
  package enum Kind: UInt16, Hashable, Sendable, CaseIterable {
    case a = 1
    case aaaa = 28

    fileprivate func takes(_ address: SocketAddress) -> Bool {
      address.protocol == (self == .a ? .inet : .inet6)
    }
  }

  /// What it says of a name.
  package enum Behaviour: Sendable {
    /// Those of the addresses that are of the kind that is asked; none is an answer, too.
    case addresses([String], after: Duration = .zero)
    case silence
    case noSuchName
    case serverFailure
    /// An empty answer that asks for TCP, where nobody listens.
    case truncated
    case garbage
    /// An answer to another question, which must not be taken.
    case wrongID(String)
    /// The name is an alias of itself.
    case aliasLoop
  }

  private struct Question: Hashable {
    let name: String
    let kind: Kind
  }

  private struct State {
    var behaviours: [Question: Behaviour] = [:]
    var asked: [Question: Int] = [:]
  }

  private let channel: any Channel
  /// Protects what is said and counted: written by tests, used on the event loop.
  private let state: Shared

  private final class Shared: Sendable {
    let state = Mutex(State())
  }

  private init(channel: any Channel, state: Shared) {
    self.channel = channel
    self.state = state
  }

  /// Runs a server that knows no name, for as long as the body runs.
  package static func run<Result: Sendable>(
    _ body: (NameServer) async throws -> Result
  ) async throws -> Result {
    let shared = Shared()
    let channel = try await DatagramBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelOption(.socketOption(.so_reuseaddr), value: 1)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Answerer(shared: shared))
        }
      }
      .bind(host: "127.0.0.1", port: 53).get()
    let server = NameServer(channel: channel, state: shared)
    let result: Swift.Result<Result, any Error>
    do { result = .success(try await body(server)) } catch { result = .failure(error) }
    try? await channel.close().get()
    return try result.get()
  }

  /// From now on, it says that of the name.
  package func set(_ name: String, _ kinds: [Kind] = Kind.allCases, _ behaviour: Behaviour) {
    state.state.withLock { state in
      for kind in kinds { state.behaviours[Question(name: name, kind: kind)] = behaviour }
    }
  }

  /// How often that was asked.
  package func questions(_ name: String, _ kind: Kind) -> Int {
    state.state.withLock { $0.asked[Question(name: name, kind: kind)] ?? 0 }
  }

  // MARK: The protocol

  private final class Answerer: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>
    typealias OutboundOut = AddressedEnvelope<ByteBuffer>
    private let shared: Shared

    init(shared: Shared) { self.shared = shared }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let envelope = unwrapInboundIn(data)
      guard let query = Query(envelope.data) else { return }
      let question = query.kind.map { Question(name: query.name, kind: $0) }
      let behaviour = question.flatMap { question in
        shared.state.withLock { state in
          state.asked[question, default: 0] += 1
          return state.behaviours[question]
        }
      }
      guard let (answer, delay) = query.answer(behaviour ?? .noSuchName) else { return }
      let channel = context.channel
      context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(delay)) {
        channel.writeAndFlush(
          AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: answer), promise: nil)
      }
    }
  }

  /// One question as it came (RFC 1035, section 4).
  private struct Query {
    let id: UInt16
    let name: String
    /// Nil when it is of another kind.
    let kind: Kind?
    /// Its bytes, for the answer.
    let question: ByteBuffer

    init?(_ datagram: ByteBuffer) {
      var buffer = datagram
      guard let id = buffer.readInteger(as: UInt16.self), buffer.readBytes(length: 10) != nil else {
        return nil
      }
      let start = buffer.readerIndex
      var labels: [String] = []
      while let length = buffer.readInteger(as: UInt8.self), length > 0 {
        guard length < 64, let label = buffer.readString(length: Int(length)) else { return nil }
        labels.append(label)
      }
      guard let kind = buffer.readInteger(as: UInt16.self), buffer.readBytes(length: 2) != nil,
        let question = datagram.getSlice(at: start, length: buffer.readerIndex - start)
      else { return nil }
      self.id = id
      name = labels.joined(separator: ".").lowercased()
      self.kind = Kind(rawValue: kind)
      self.question = question
    }

    /// What goes back, and after how long; nil for nothing.
    func answer(_ behaviour: Behaviour) -> (ByteBuffer, Duration)? {
      switch behaviour {
      case .addresses(let texts, let delay):
        let addresses = texts.compactMap { try? SocketAddress(ipAddress: $0, port: 0) }
        return (response(records: addresses.compactMap(record)), delay)
      case .silence: return nil
      case .noSuchName: return (response(code: 3), .zero)
      case .serverFailure: return (response(code: 2), .zero)
      case .truncated: return (response(flags: 0x0200), .zero)
      case .garbage: return (ByteBuffer(repeating: 0xff, count: 40), .zero)
      case .wrongID(let text):
        let address = try? SocketAddress(ipAddress: text, port: 0)
        let records = address.flatMap(record).map { [$0] } ?? []
        return (response(id: id ^ 1, records: records), .zero)
      case .aliasLoop:
        return (response(records: [record(kind: 5, ByteBuffer(bytes: [0xc0, 12]))]), .zero)
      }
    }

    private func response(
      id: UInt16? = nil, code: UInt16 = 0, flags: UInt16 = 0, records: [ByteBuffer] = []
    ) -> ByteBuffer {
      var buffer = ByteBuffer()
      buffer.writeMultipleIntegers(
        id ?? self.id, 0x8180 | flags | code, UInt16(1), UInt16(records.count), UInt16(0),
        UInt16(0))
      buffer.writeImmutableBuffer(question)
      for record in records { buffer.writeImmutableBuffer(record) }
      return buffer
    }

    private func record(_ address: SocketAddress) -> ByteBuffer? {
      guard let kind, kind.takes(address) else { return nil }
      let size = kind == .a ? 4 : 16
      let packed = unsafe address.withSockAddr { pointer, _ in
        // After family and port, and of IPv6 the flow information, too.
        unsafe ByteBuffer(
          bytes: UnsafeRawBufferPointer(
            start: UnsafeRawPointer(pointer) + (kind == .a ? 4 : 8), count: size))
      }
      return record(kind: kind.rawValue, packed)
    }

    /// A record of the name that was asked, good for no time at all.
    private func record(kind: UInt16, _ data: ByteBuffer) -> ByteBuffer {
      var buffer = ByteBuffer()
      buffer.writeMultipleIntegers(
        UInt16(0xc00c), kind, UInt16(1), UInt32(0), UInt16(data.readableBytes))
      buffer.writeImmutableBuffer(data)
      return buffer
    }
  }
}
