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

  /// Why the file could not be used at the last reading; nil when it could.
  package func problem() -> FileProblem? { state.withLock { $0.problem } }

  private func refreshed() -> State {
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
      return state
    }
  }

  private static func read(
    _ path: String, with readFile: FileReader, isAcceptable: (String) -> FileProblem?
  ) throws(FileProblem) -> Secret {
    guard var text = String(validating: try readFile(path), as: UTF8.self) else {
      throw FileProblem("is not UTF-8 text")
    }
    // Editors and `echo` end the line; only that one line end is not part of the secret. Swift
    // takes CR LF as one character.
    if text.last == "\n" || text.last == "\r\n" { text.removeLast() }
    guard !text.isEmpty else { throw FileProblem("is empty") }
    if let problem = isAcceptable(text) { throw problem }
    return Secret(text)
  }
}

/// Where a secret comes from: given once, or a file that may change.
package enum SecretSource: Sendable {
  case value(Secret)
  case file(SecretFile)

  /// The secret as of now; a file is read again.
  package func current() -> Secret {
    switch self {
    case .value(let secret): secret
    case .file(let file): file.current()
    }
  }

  /// Why a secret's file could not be used at the last reading.
  package func problem() -> FileProblem? {
    switch self {
    case .value: nil
    case .file(let file): file.problem()
    }
  }
}
