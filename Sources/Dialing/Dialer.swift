package import NIOCore
package import NIOPosix

/// Opens connections to hosts by name: looks the name up, and tries the addresses that it has.
///
/// One dialer serves the whole process: what one look-up found is known to the next. Every
/// connection looks its name up anew, as the name may lead elsewhere by now.
package final class Dialer: Sendable {
  /// Over which addresses a host is reached.
  package enum Family: Hashable, Sendable { case any, ipv4, ipv6 }

  /// A connection that stands, and the address that it leads to.
  package struct Dialed: Sendable {
    package let channel: any Channel
    package let address: SocketAddress
  }

  let lookUps: NameLookUps

  package init() { lookUps = NameLookUps(resolve: SystemResolver.resolve) }

  /// - Parameter resolve: asked in place of the system.
  init(resolve: @escaping NameLookUps.Resolve) { lookUps = NameLookUps(resolve: resolve) }

  /// Connects to the first address of the host that answers.
  ///
  /// - Parameters:
  ///   - host: a name, or an address without brackets in any spelling, with its zone after a `%`.
  ///   - deadline: for look-up and connecting together.
  ///   - eventLoop: of the channel; it must go on running until this returns.
  ///   - configure: options and the initializer of a channel, but no protocol handlers; called once
  ///     for each address that is tried, and all channels but the one that is returned are closed.
  /// - Throws: what took too long or failed, and for which address.
  package func connect(
    host: String, port: Int, family: Family = .any, deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop,
    configure: @escaping @Sendable (ClientBootstrap) -> ClientBootstrap
  ) async throws(DialFailure) -> Dialed {
    let dial = NIOLoopBoundBox.makeBoxSendingValue(
      try Dial(
        host: host, port: port, family: family, deadline: deadline, lookUps: lookUps,
        configure: configure),
      eventLoop: eventLoop)
    let result = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        eventLoop.execute {
          dial.value.start(on: eventLoop) { continuation.resume(returning: $0) }
        }
      }
    } onCancel: {
      eventLoop.execute { dial.value.end(.failure(.cancelled)) }
    }
    return try result.get()
  }
}

/// One connection that is being opened, on its event loop only: what ``AddressRace`` decides.
private final class Dial {
  typealias Result = Swift.Result<Dialer.Dialed, DialFailure>

  private let host: String
  private let port: Int
  private let family: Dialer.Family
  private let deadline: ContinuousClock.Instant
  let lookUps: NameLookUps
  private let configure: @Sendable (ClientBootstrap) -> ClientBootstrap
  /// What is looked up; nil for an address.
  private let name: String?

  private var race: AddressRace
  private var eventLoop: (any EventLoop)?
  private var completed: ((Result) -> Void)?
  /// Set once; the channel of a connection that stands is not among those that are closed then.
  private var result: Result?
  private var tickets: [Dialer.Family: NameLookUps.Ticket] = [:]
  private var channels: [SocketAddress: any Channel] = [:]
  private var errors: [SocketAddress: any Error] = [:]
  private var timer: Scheduled<Void>?

  init(
    host: String, port: Int, family: Dialer.Family, deadline: ContinuousClock.Instant,
    lookUps: NameLookUps, configure: @escaping @Sendable (ClientBootstrap) -> ClientBootstrap
  ) throws(DialFailure) {
    self.host = host
    self.port = port
    self.family = family
    self.deadline = deadline
    self.lookUps = lookUps
    self.configure = configure
    let start = ContinuousClock.now
    if let address = SystemResolver.address(host) {
      guard family.includes(address) else {
        throw .notResolved(
          host: host, reason: "it is no \(family == .ipv4 ? "IPv4" : "IPv6") address")
      }
      name = nil
      race = AddressRace(to: [address.with(port: port)], start: start, deadline: deadline)
      return
    }
    // No name server is asked for what is no name.
    guard !host.contains(where: { $0 == ":" || $0 == "%" }) else {
      throw .notResolved(
        host: host, reason: "it is no IPv6 address, or this machine has no interface of that name")
    }
    name = host
    let known = lookUps.known(of: host, family)
    race = AddressRace(
      family: family, start: start, deadline: deadline, late: known.late.with(port: port),
      lastGood: known.lastGood.with(port: port))
  }

  func start(on eventLoop: any EventLoop, completed: @escaping (Result) -> Void) {
    // It may have been cancelled before.
    if let result { return completed(result) }
    self.eventLoop = eventLoop
    self.completed = completed
    perform(race.begin(at: .now))
  }

  /// Ends it from outside or inside, once: closes, forgets, and answers.
  func end(_ result: Result) {
    guard self.result == nil else { return }
    self.result = result
    timer?.cancel()
    for ticket in tickets.values { lookUps.withdraw(ticket) }
    if case .success(let dialed) = result { channels[dialed.address] = nil }
    for channel in channels.values { channel.close(promise: nil) }
    channels = [:]
    completed?(result)
    completed = nil
  }

  private func take(_ event: AddressRace.Event) {
    guard result == nil else { return }
    perform(race.handle(event, at: .now))
  }

  private func perform(_ actions: [AddressRace.Action]) {
    guard let eventLoop else { preconditionFailure("A dial acts once it has started") }
    for action in actions {
      switch action {
      case .lookUp(let family): lookUp(family, on: eventLoop)
      case .connect(let address): connect(to: address, on: eventLoop)
      case .wake(let instant):
        timer?.cancel()
        let delay = TimeAmount(max(.zero, ContinuousClock.now.duration(to: instant)))
        timer = eventLoop.assumeIsolated().scheduleTask(in: delay) { [self] in take(.timePassed) }
      case .end(let outcome): end(judge(outcome))
      }
    }
  }

  private func lookUp(_ asked: Dialer.Family, on eventLoop: any EventLoop) {
    guard let name else { preconditionFailure("An address is not looked up") }
    let dial = NIOLoopBound(self, eventLoop: eventLoop)
    tickets[asked] = lookUps.ask(
      .init(name: name, family: asked), isApart: asked != family
    ) { answer in
      eventLoop.execute { dial.value.answered(asked, answer) }
    }
  }

  private func answered(_ asked: Dialer.Family, _ answer: NameLookUps.Answer) {
    tickets[asked] = nil
    switch answer {
    case .addresses(let addresses): take(.answered(asked, addresses.with(port: port)))
    case .failure(let reason): take(.lookUpFailed(asked, reason: reason))
    }
  }

  private func connect(to address: SocketAddress, on eventLoop: any EventLoop) {
    let dial = NIOLoopBound(self, eventLoop: eventLoop)
    // The channel is known before it is connected, so that it can be closed meanwhile.
    let bootstrap = configure(
      ClientBootstrap(group: eventLoop).protocolHandlers {
        [ChannelFinder { channel in dial.value.opened(channel, to: address) }]
      }
    ).connectTimeout(TimeAmount(max(.zero, ContinuousClock.now.duration(to: deadline))))
    bootstrap.connect(to: address).whenComplete { result in
      // Not within this call, however soon it fails.
      eventLoop.execute { dial.value.connected(result, to: address) }
    }
  }

  private func opened(_ channel: any Channel, to address: SocketAddress) {
    guard result == nil else { return channel.close(promise: nil) }
    channels[address] = channel
  }

  private func connected(_ attempt: Swift.Result<any Channel, any Error>, to address: SocketAddress)
  {
    switch attempt {
    case .success(let channel):
      // Too late is as good as lost.
      guard result == nil else { return channel.close(promise: nil) }
      channels[address] = channel
      take(.connected(address))
    case .failure(let error):
      channels[address] = nil
      errors[address] = error
      take(.connectFailed(address))
    }
  }

  private func judge(_ outcome: AddressRace.Outcome) -> Result {
    switch outcome {
    case .connected(let address):
      guard let channel = channels[address] else {
        preconditionFailure("A connection has its channel")
      }
      if let name {
        lookUps.remember([address] + race.found.filter { $0 != address }, of: name)
      }
      return .success(.init(channel: channel, address: address))
    case .notResolved(let reason): return .failure(.notResolved(host: host, reason: reason))
    case .lookUpTimedOut:
      let hindrance = tickets[family].flatMap { lookUps.hindrance(of: $0) }
      return .failure(
        hindrance.map { .notResolved(host: host, reason: $0) } ?? .lookUpTimedOut(host: host))
    case .unreachable(let addresses):
      let timeout = ChannelError.connectTimeout(.zero)
      return .failure(
        .unreachable(
          addresses.map { .init(address: $0.shown, error: errors[$0] ?? timeout) }))
    case .connectTimedOut(let addresses):
      return .failure(.connectTimedOut(addresses.map(\.shown)))
    }
  }
}

/// Tells of the channel that it is added to, and does nothing else there.
private final class ChannelFinder: ChannelHandler {
  private var found: ((any Channel) -> Void)?

  init(found: @escaping (any Channel) -> Void) { self.found = found }

  func handlerAdded(context: ChannelHandlerContext) {
    found?(context.channel)
    found = nil
  }
}

extension SocketAddress {
  fileprivate func with(port: Int) -> SocketAddress {
    var address = self
    address.port = port
    return address
  }
}

extension [SocketAddress] {
  fileprivate func with(port: Int) -> [SocketAddress] { map { $0.with(port: port) } }
}
