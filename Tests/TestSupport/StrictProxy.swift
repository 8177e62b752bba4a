import NIOCore
import NIOPosix
import RedisClient
import Synchronization

/// A proxy before a real Redis that understands each command, and refuses or hangs up on some, as
/// managed services and other people's proxies do.
package final class StrictProxy: Sendable {
  /// What is not let through.
  package struct Rules: Sendable {
    /// Commands that are refused, and with which words.
    package var refused: [String: String] = [:]
    /// Commands that end the connection.
    package var hangsUpOn: Set<String> = []
    /// Whether every key of a script has to stand in it as `KEYS[number]`, and every command as a
    /// text, as Tair's proxy wants it.
    package var readsScripts = false
    /// Whether all keys of a command have to be in one slot of a Redis Cluster.
    package var needsOneSlot = false
    /// Whether a script without keys is refused.
    package var needsKeys = false

    package init() {}

    /// Commands that are refused as a Redis refuses what it does not have.
    package static func without(_ commands: String...) -> Rules {
      var rules = Rules()
      for name in commands {
        rules.refused[name] = "ERR unknown command '\(name)', with args beginning with: "
      }
      return rules
    }

    /// Commands that are hung up on.
    package static func hangingUp(on commands: String...) -> Rules {
      var rules = Rules()
      rules.hangsUpOn = Set(commands)
      return rules
    }
  }

  /// On 127.0.0.1.
  package let port: Int
  fileprivate let book: Book
  private let channel: any Channel

  /// What was let through and what was not.
  fileprivate final class Book: Sendable {
    struct State {
      var rules: Rules
      var connections = 0
      var seen: [String: Int] = [:]
      var stopped: [String: Int] = [:]
    }

    /// Protects what the event loops of several connections write.
    let state: Mutex<State>

    init(_ rules: Rules) { state = Mutex(State(rules: rules)) }
  }

  /// What is not let through from now on.
  package var rules: Rules {
    get { book.state.withLock { $0.rules } }
    set { book.state.withLock { $0.rules = newValue } }
  }

  /// How many connections were taken so far.
  package var connections: Int { book.state.withLock { $0.connections } }

  /// How often a command came so far.
  package func count(of command: String) -> Int { book.state.withLock { $0.seen[command] ?? 0 } }

  /// How often a command was refused or hung up on so far.
  package func stopped(_ command: String) -> Int {
    book.state.withLock { $0.stopped[command] ?? 0 }
  }

  /// The URL for settings.
  package var url: String { "redis://127.0.0.1:\(port)/0" }

  private init(channel: any Channel, book: Book) {
    self.channel = channel
    self.book = book
    port = channel.localAddress?.port ?? 0
  }

  /// Starts to listen before the Redis on that port.
  package static func start(before redis: Int, rules: Rules) async throws -> StrictProxy {
    let book = Book(rules)
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { client in
        book.state.withLock { $0.connections += 1 }
        // Nothing is read until the other side is there.
        return ClientBootstrap(group: client.eventLoop).connect(host: "127.0.0.1", port: redis)
          .flatMapThrowing { server in
            let pair = StrictConnection(book: book, client: client, server: server)
            try client.pipeline.syncOperations.addHandler(StrictConnection.Front(pair: pair))
            try server.pipeline.syncOperations.addHandler(StrictConnection.Back(pair: pair))
          }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return StrictProxy(channel: channel, book: book)
  }

  /// Stops to listen; connections go on.
  package func stop() async { try? await channel.close().get() }
}

/// One client's connection and the one to Redis behind it, on their event loop only.
private final class StrictConnection {
  /// An answer that the client waits for, in order.
  private enum Slot {
    case ofServer
    case ours(String)
  }

  private let book: StrictProxy.Book
  private let client: any Channel
  private let server: any Channel
  private let commands = ReplyParser()
  private let replies = ReplyParser()
  private var slots: [Slot] = []
  /// Whether the server speaks unasked.
  private var isSubscribed = false

  init(book: StrictProxy.Book, client: any Channel, server: any Channel) {
    self.book = book
    self.client = client
    self.server = server
  }

  private func end() {
    client.close(promise: nil)
    server.close(promise: nil)
  }

  private func takeCommands(_ buffer: ByteBuffer) {
    do {
      try commands.feed(buffer.readableBytesUInt8Span) { take($0) }
    } catch {
      end()
    }
  }

  private func take(_ command: RedisReply) {
    guard client.isActive, let words = command.elements?.compactMap(\.bytes), !words.isEmpty
    else { return end() }
    let name = String(decoding: words[0], as: UTF8.self).uppercased()
    let rules = book.state.withLock { state in
      state.seen[name, default: 0] += 1
      return state.rules
    }
    if rules.hangsUpOn.contains(name) {
      stopped(name)
      return end()
    }
    let texts = words.map { String(decoding: $0, as: UTF8.self) }
    if let refusal = rules.refusal(of: name, texts) {
      stopped(name)
      slots.append(.ours("-\(refusal)\r\n"))
      return flush()
    }
    if name == "SUBSCRIBE" { isSubscribed = true }
    slots.append(.ofServer)
    server.writeAndFlush(command.wire, promise: nil)
  }

  private func stopped(_ name: String) {
    book.state.withLock { $0.stopped[name, default: 0] += 1 }
  }

  private func takeReplies(_ buffer: ByteBuffer) {
    do {
      try replies.feed(buffer.readableBytesUInt8Span) { reply in
        client.writeAndFlush(reply.wire, promise: nil)
        guard !isSubscribed else { return }
        if !slots.isEmpty { slots.removeFirst() }
        flush()
      }
    } catch {
      end()
    }
  }

  /// Writes our own answers whose turn it is.
  private func flush() {
    while case .ours(let text)? = slots.first {
      client.writeAndFlush(ByteBuffer(string: text), promise: nil)
      slots.removeFirst()
    }
  }

  final class Front: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let pair: StrictConnection
    init(pair: StrictConnection) { self.pair = pair }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      pair.takeCommands(unwrapInboundIn(data))
    }
    func channelInactive(context: ChannelHandlerContext) { pair.end() }
  }

  final class Back: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let pair: StrictConnection
    init(pair: StrictConnection) { self.pair = pair }
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      pair.takeReplies(unwrapInboundIn(data))
    }
    func channelInactive(context: ChannelHandlerContext) { pair.end() }
  }
}

extension StrictProxy.Rules {
  /// Why a command is refused; nil when it is let through.
  fileprivate func refusal(of name: String, _ words: [String]) -> String? {
    if let words = refused[name] { return words }
    guard name == "EVAL" || name == "EVALSHA", words.count > 2, let count = Int(words[2]) else {
      return nil
    }
    let keys = words.dropFirst(3).prefix(count)
    if needsKeys, keys.isEmpty { return "ERR eval with no keys is not supported" }
    if readsScripts, name == "EVAL", !Self.isLiteral(words[1]) {
      return """
        ERR bad lua script for redis cluster, all the keys that the script uses should be passed \
        using the KEYS array, and KEYS should not be in expression
        """
    }
    if needsOneSlot, Set(keys.map { HashSlot(of: $0) }).count > 1 {
      return "ERR '\(name)' command keys must in same slot"
    }
    return nil
  }

  /// Whether each call in a script names its command and its key literally.
  static func isLiteral(_ script: String) -> Bool {
    let calls = script.matches(of: #/redis\.p?call\(\s*([^,)]+)(?:,\s*([^,)]+))?/#)
    return calls.allSatisfy { call in
      let command = call.1.trimmingSpaces
      guard command.count > 2, command.hasPrefix("'") || command.hasPrefix("\"") else {
        return false
      }
      if ["TIME", "PUBLISH", "INFO"].contains(command.dropFirst().dropLast()) { return true }
      return call.2?.trimmingSpaces.wholeMatch(of: #/KEYS\[[0-9]+\]/#) != nil
    }
  }
}

extension Substring {
  fileprivate var trimmingSpaces: Substring {
    let start = drop { $0.isWhitespace }
    return start.prefix(start.count - start.reversed().prefix { $0.isWhitespace }.count)
  }
}

extension RedisReply {
  /// The same as it goes over the wire; a command is an array of texts.
  fileprivate var wire: ByteBuffer {
    var buffer = ByteBuffer()
    write(to: &buffer)
    return buffer
  }

  private func write(to buffer: inout ByteBuffer) {
    switch self {
    case .status(let text): buffer.writeString("+\(text)\r\n")
    case .error(let error): buffer.writeString("-\(error.message)\r\n")
    case .integer(let number): buffer.writeString(":\(number)\r\n")
    case .null: buffer.writeString("$-1\r\n")
    case .bulk(let bytes):
      buffer.writeString("$\(bytes.count)\r\n")
      buffer.writeBytes(bytes)
      buffer.writeString("\r\n")
    case .array(let elements):
      buffer.writeString("*\(elements.count)\r\n")
      for element in elements { element.write(to: &buffer) }
    }
  }
}
