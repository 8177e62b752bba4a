import NIOSSL
import RedisClient
import ServiceLifecycle

/// Looks at the files of certificates with each tick, as `SecretWatch` does at those of secrets:
/// one that has gone bad would be missed when somebody connects, Redis's with the next connection,
/// and that of WeChat's authorities at the next start.
///
/// A look reads each file and parses what has changed: five files at most, whatever the number of
/// accounts and of clients.
struct CertificateWatch: Service {
  private let certificates: CertificateFiles?
  private let sets: [FileSet]
  private let interval: Duration
  private let tell: @Sendable (_ subject: String, _ problem: String?) -> Void

  /// - Parameters:
  ///   - certificates: those of the HTTP interface, which tell of themselves.
  ///   - tell: told with each look what is wrong with one of `sets`; nil when nothing is.
  init(
    certificates: CertificateFiles?, sets: [FileSet], interval: Duration,
    tell: @escaping @Sendable (_ subject: String, _ problem: String?) -> Void
  ) {
    self.certificates = certificates
    self.sets = sets
    self.interval = interval
    self.tell = tell
  }

  /// Watches until the group shuts down.
  func run() async throws {
    await cancelWhenGracefulShutdown {
      var sets = sets
      while !Task.isCancelled {
        // Cancellation ends the wait early, and the loop notices it.
        try? await Task.sleep(for: interval)
        guard !Task.isCancelled else { return }
        let before = sets
        let looked = await BlockingWork.run { [certificates] in
          certificates?.look()
          var sets = before
          return (problems: sets.indices.map { sets[$0].problem() }, sets: sets)
        }
        guard let looked else { return }
        sets = looked.sets
        for (set, problem) in zip(sets, looked.problems) { tell(set.subject, problem) }
      }
    }
  }
}

/// Files that are used together; judged again when what they hold has changed.
struct FileSet: Sendable {
  /// What people are told that it is about.
  let subject: String
  private let paths: [String]
  private let readFile: FileReader
  private let judge: @Sendable ([[UInt8]]) -> String?
  /// Of what was judged last; nil before, and while a file cannot be read.
  private var judged: (hash: Int, problem: String?)?

  /// - Parameter judge: says why what the files hold cannot be used; nil when it can.
  init?(
    _ paths: [String], readFile: @escaping FileReader = RegularFile.read,
    judge: @escaping @Sendable ([[UInt8]]) -> String?
  ) {
    guard let subject = paths.first else { return nil }
    self.subject = subject
    self.paths = paths
    self.readFile = readFile
    self.judge = judge
  }

  /// Why the files cannot be used; nil when they can.
  mutating func problem() -> String? {
    var contents: [[UInt8]] = []
    for path in paths {
      do throws(FileProblem) {
        contents.append(try readFile(path))
      } catch {
        judged = nil
        return "\(path) \(error.reason)"
      }
    }
    let hash = contents.hashValue
    if let judged, judged.hash == hash { return judged.problem }
    let problem = judge(contents)
    judged = (hash, problem)
    return problem
  }
}

extension FileSet {
  /// The file of the authorities that are trusted at WeChat.
  static func authorities(of settings: Settings) -> FileSet? {
    settings.apiAuthoritiesFile.flatMap { path in
      FileSet([path]) { contents in
        let found = try? NIOSSLCertificate.fromPEMBytes(contents[0])
        return found?.isEmpty ?? true ? "\(path) has no certificate in PEM" : nil
      }
    }
  }

  /// The files that each new connection to Redis is encrypted with.
  static func redis(_ endpoint: RedisEndpoint) -> FileSet? {
    guard let tls = endpoint.tls else { return nil }
    return FileSet([tls.caFile, tls.certFile, tls.keyFile].compactMap(\.self)) { _ in
      tls.problem.map { "\($0)" }
    }
  }
}
