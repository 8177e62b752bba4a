import Synchronization

/// A file that holds one secret, read again whenever it is asked for.
///
/// Reading forty bytes is cheaper than being wrong about whether they changed: it follows
/// Kubernetes' `..data` swap and every other way to replace a file. The last good value stays in
/// use while the file is missing, unreadable, empty or malformed.
package final class SecretFile: Sendable {
  /// What the file held.
  private struct State {
    var secret: Secret
    var problem: FileProblem?
    /// Whether a reading is under way.
    var isRead = false
  }

  /// The path as configured.
  package let path: String
  private let readFile: FileReader
  private let isAcceptable: @Sendable (String) -> FileProblem?
  /// Protects the last good value and the last problem; no file is read under it.
  private let state: Mutex<State>

  /// Reads the file for the first time.
  ///
  /// - Parameters:
  ///   - path: the file; symbolic links are followed at each reading.
  ///   - isAcceptable: says what is wrong with a text, if anything.
  /// - Throws: `FileProblem` when there is no good value to begin with.
  package init(
    path: String, readFile: @escaping FileReader = RegularFile.read,
    isAcceptable: @escaping @Sendable (String) -> FileProblem? = { _ in nil }
  ) throws(FileProblem) {
    self.path = path
    self.readFile = readFile
    self.isAcceptable = isAcceptable
    state = Mutex(
      State(secret: try Self.read(path, with: readFile, isAcceptable: isAcceptable), problem: nil))
  }

  /// The secret as the file holds it now, or the last good one.
  package func current() -> Secret { refreshed().secret }

  /// The last good value, without another reading.
  var latest: Secret { state.withLock { $0.secret } }

  /// Why the file could not be used at the last reading; nil when it could.
  package func problem() -> FileProblem? { state.withLock { $0.problem } }

  private func refreshed() -> State {
    // One reading at a time: a disk that hangs is to hold one thread, and not one for each that
    // asks.
    let busy = state.withLock { state -> State? in
      defer { state.isRead = true }
      return state.isRead ? state : nil
    }
    if let busy { return busy }
    let outcome: Result<Secret, FileProblem>
    do throws(FileProblem) {
      outcome = .success(try Self.read(path, with: readFile, isAcceptable: isAcceptable))
    } catch {
      outcome = .failure(error)
    }
    return state.withLock { state in
      switch outcome {
      case .success(let secret): state = State(secret: secret, problem: nil)
      case .failure(let problem): state.problem = problem
      }
      state.isRead = false
      return state
    }
  }

  private static func read(
    _ path: String, with readFile: FileReader, isAcceptable: (String) -> FileProblem?
  ) throws(FileProblem) -> Secret {
    let text = try text(path, with: readFile)
    if let problem = isAcceptable(text) { throw problem }
    return Secret(text)
  }

  /// The text of a file that holds one value.
  static func text(_ path: String, with readFile: FileReader) throws(FileProblem) -> String {
    guard var text = String(validating: try readFile(path), as: UTF8.self) else {
      throw FileProblem("is not UTF-8 text")
    }
    // Editors and `echo` end the line; only that one line end is not part of the value. Swift
    // takes CR LF as one character.
    if text.last == "\n" || text.last == "\r\n" { text.removeLast() }
    guard !text.isEmpty else { throw FileProblem("is empty") }
    return text
  }
}

/// Where a secret comes from: given once, or a file that may change.
///
/// Whoever uses a secret keeps its source: when the settings are read again it takes what the new
/// ones name, and is used everywhere from then on.
package final class SecretSource: Sendable {
  private enum Kind {
    case value(Secret)
    case file(SecretFile)

    /// The secret as of now; a file is read again.
    func current() -> Secret {
      switch self {
      case .value(let secret): secret
      case .file(let file): file.current()
      }
    }

    var latest: Secret {
      switch self {
      case .value(let secret): secret
      case .file(let file): file.latest
      }
    }
  }

  private struct State {
    var kind: Kind
    /// As it was when the settings were read last.
    var known: Secret
  }

  /// Protects where it comes from; no file is read under it.
  private let state: Mutex<State>

  private init(_ kind: Kind) { state = Mutex(State(kind: kind, known: kind.current())) }

  /// A secret that was given as it is.
  package static func value(_ secret: Secret) -> SecretSource { SecretSource(.value(secret)) }

  /// A secret in a file.
  package static func file(_ file: SecretFile) -> SecretSource { SecretSource(.file(file)) }

  /// The file; nil when there is none.
  package var file: SecretFile? {
    if case .file(let file) = state.withLock({ $0.kind }) { file } else { nil }
  }

  /// The secret as of now; a file is read again.
  package func current() -> Secret { state.withLock { $0.kind }.current() }

  /// The secret as of the last good reading.
  package var latest: Secret { state.withLock { $0.kind }.latest }

  /// Why a secret's file could not be used at the last reading.
  package func problem() -> FileProblem? { file?.problem() }

  /// Comes from where another one does, from now on.
  ///
  /// - Returns: whether the secret is another one than when the settings were read last.
  package func take(_ other: SecretSource) -> Bool {
    let kind = other.state.withLock { $0.kind }
    let secret = kind.current()
    return state.withLock { state in
      defer { state = State(kind: kind, known: secret) }
      return state.known != secret
    }
  }
}
