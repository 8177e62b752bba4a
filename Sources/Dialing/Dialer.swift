package import NIOCore
package import NIOPosix

/// Opens connections to hosts by name: looks the name up, and tries the addresses that it has.
///
/// One dialer serves the whole process: what one look-up found is known to the next.
package final class Dialer: Sendable {
  /// Over which addresses a host is reached.
  package enum Family: Hashable, Sendable { case any, ipv4, ipv6 }

  /// A connection that stands, and the address that it leads to.
  package struct Dialed: Sendable {
    package let channel: any Channel
    package let address: SocketAddress
  }

  package init() {}

  /// Connects to the first address of the host that answers.
  ///
  /// - Parameters:
  ///   - host: a name, or an address without brackets.
  ///   - deadline: for look-up and connecting together.
  ///   - configure: options and the initializer of a channel; called once for each address that
  ///     is tried, and all channels but the one that is returned are closed.
  /// - Throws: what took too long or failed, and for which address.
  package func connect(
    host: String, port: Int, family: Family = .any, deadline: ContinuousClock.Instant,
    on eventLoop: any EventLoop,
    configure: @escaping @Sendable (ClientBootstrap) -> ClientBootstrap
  ) async throws(DialFailure) -> Dialed {
    let remaining = max(.zero, ContinuousClock.now.duration(to: deadline))
    let bootstrap = configure(ClientBootstrap(group: eventLoop)).connectTimeout(.init(remaining))
    do {
      let channel = try await bootstrap.connect(host: host, port: port).get()
      guard let address = channel.remoteAddress else {
        throw DialFailure.unreachable([.init(address: host, error: ChannelError.eof)])
      }
      return Dialed(channel: channel, address: address)
    } catch let failure as DialFailure {
      throw failure
    } catch let error as NIOConnectionError where error.connectionErrors.isEmpty {
      throw .notResolved(host: host, reason: "\(error.dnsAError.map { "\($0)" } ?? "no address")")
    } catch let error as NIOConnectionError {
      throw .unreachable(
        error.connectionErrors.map { .init(address: "\($0.target)", error: $0.error) })
    } catch {
      throw .unreachable([.init(address: host, error: error)])
    }
  }
}

/// Why no connection stands.
package enum DialFailure: Error, Sendable {
  /// One address that was tried, and what came of it.
  package struct Attempt: Sendable {
    package let address: String
    package let error: any Error

    package init(address: String, error: any Error) {
      self.address = address
      self.error = error
    }
  }

  /// The look-up of the name has an answer, and it is no address.
  case notResolved(host: String, reason: String)
  /// The name was not looked up in time.
  case lookUpTimedOut(host: String)
  /// Every address was tried, and each failed.
  case unreachable([Attempt])
  /// There were addresses, and none answered in time.
  case connectTimedOut([String])
  /// The task was cancelled.
  case cancelled
}
