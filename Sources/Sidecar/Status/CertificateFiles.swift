package import Logging
import NIOCore
import NIOSSL
import Synchronization

/// A certificate and its key, read again when their files change.
///
/// The check is made when a connection arrives, at most once a second, and with each tick
/// (`CertificateWatch`). While the files cannot be
/// used (a half-written renewal, say) the last good pair stays in use.
package final class CertificateFiles: Sendable {
  private struct State {
    var certificate: [UInt8]
    var key: [UInt8]
    var context: NIOSSLContext
    var checkedAt: ContinuousClock.Instant
  }

  private let files: Settings.TLSFiles
  private let readFile: FileReader
  private let interval: Duration
  private let logger: Logger
  private let isBad: @Sendable (_ problem: String?) -> Void
  /// Protects the pair in use and when it was last checked; files are read outside of it.
  private let state: Mutex<State>

  /// - Parameters:
  ///   - interval: the least time between two looks at the files.
  ///   - isBad: told with each look why the files cannot be used; nil when they can.
  /// - Throws: `StatusServerError.unusableCertificate`.
  package init(
    _ files: Settings.TLSFiles, logger: Logger, interval: Duration = .seconds(1),
    readFile: @escaping FileReader = RegularFile.read,
    isBad: @escaping @Sendable (_ problem: String?) -> Void = { _ in }
  ) throws(StatusServerError) {
    self.files = files
    self.readFile = readFile
    self.interval = interval
    self.logger = logger
    self.isBad = isBad
    let (certificate, key) = try Self.read(files, readFile)
    state = Mutex(
      State(
        certificate: certificate, key: key, context: try Self.context(certificate, key),
        checkedAt: .now))
  }

  /// What a new connection is encrypted with.
  func current() -> NIOSSLContext {
    let (used, isDue) = state.withLock { state in
      let isDue = state.checkedAt.duration(to: .now) >= interval
      if isDue { state.checkedAt = .now }
      return (state, isDue)
    }
    guard isDue else { return used.context }
    look()
    return state.withLock { $0.context }
  }

  /// Reads the files, and uses them from now on when they changed and are good.
  ///
  /// - Returns: whether they changed.
  @discardableResult
  func look() -> Bool {
    do throws(StatusServerError) {
      let used = state.withLock { $0 }
      let (certificate, key) = try Self.read(files, readFile)
      guard certificate != used.certificate || key != used.key else {
        isBad(nil)
        return false
      }
      let context = try Self.context(certificate, key)
      state.withLock { state in
        state.certificate = certificate
        state.key = key
        state.context = context
      }
      isBad(nil)
      logger.tell(.certificateReplaced, "HTTPS certificate was read again")
      return true
    } catch {
      isBad(error.description)
      return false
    }
  }

  private static func read(
    _ files: Settings.TLSFiles, _ readFile: FileReader
  ) throws(StatusServerError) -> (certificate: [UInt8], key: [UInt8]) {
    func contents(_ path: String) throws(StatusServerError) -> [UInt8] {
      do throws(FileProblem) {
        return try readFile(path)
      } catch {
        throw .unusableCertificate(reason: "\(path) \(error.reason)")
      }
    }
    return (try contents(files.certificate), try contents(files.key))
  }

  private static func context(
    _ certificate: [UInt8], _ key: [UInt8]
  ) throws(StatusServerError) -> NIOSSLContext {
    do throws(FileProblem) {
      return try Settings.TLSFiles.context(certificate, key)
    } catch {
      throw .unusableCertificate(reason: error.reason)
    }
  }
}
