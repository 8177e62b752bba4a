import HummingbirdCore
import Logging
import NIOCore
import NIOSSL

/// A connection encrypted with the certificate of the moment.
struct EncryptedChannel<Base: ServerChildChannel>: ServerChildChannel {
  typealias Value = Base.Value

  let base: Base
  let certificates: CertificateFiles

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
    let encrypted = channel.eventLoop.makeCompletedFuture {
      try channel.pipeline.syncOperations.addHandler(
        NIOSSLServerHandler(context: certificates.current()))
    }
    return encrypted.flatMap { base.setup(channel: channel, logger: logger) }
  }

  func handle(value: Base.Value, logger: Logger) async {
    await base.handle(value: value, logger: logger)
  }
}
