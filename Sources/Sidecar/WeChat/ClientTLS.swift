import NIOCore
import NIOPosix
import NIOSSL
import RedisClient
import Synchronization

/// What TLS connections of a client are made of: read when the first is made, and kept.
final class ClientTLS: Sendable {
  private let make: @Sendable () throws -> TLSConfiguration
  private let made = Mutex<NIOSSLContext?>(nil)

  /// Waits so long for the farewell of the other side, which has answered.
  private static let farewell: Duration = .seconds(1)

  /// - Parameter make: blocks as long as it takes to read files.
  init(_ make: @escaping @Sendable () throws -> TLSConfiguration) { self.make = make }

  /// The context; a failure is not kept, since what was missing may be there the next time.
  func context() async throws(OutboundFailure) -> NIOSSLContext {
    if let context = made.withLock({ $0 }) { return context }
    do {
      // A bundle of a hundred authorities takes tens of milliseconds.
      let context = try await NIOThreadPool.singleton.runIfActive { [make] in
        var configuration = try make()
        configuration.shutdownTimeout = .init(Self.farewell)
        return try NIOSSLContext(configuration: configuration)
      }
      made.withLock { $0 = context }
      return context
    } catch let missing as SystemAuthorities.Missing {
      throw .noAuthorities(missing)
    } catch {
      throw .tls(error)
    }
  }
}
