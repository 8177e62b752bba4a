import Dialing
import Glibc
import Synchronization

/// Tries at the start what tokens are handed to, as far as that can be told without handing one on.
package struct TargetTrials: Sendable {
  /// What a look at a path says.
  package struct Finding: Sendable {
    /// Why it can never be what it is given for.
    package var mistake: String?
    /// Why it cannot be now, and may be later: a directory that is mounted after the start.
    package var doubt: String?

    package init(mistake: String? = nil, doubt: String? = nil) {
      self.mistake = mistake
      self.doubt = doubt
    }
  }

  /// Looks at the path of a file that is to be written.
  package var file: @Sendable (String) -> Finding
  /// Why a program cannot be run; nil when it can.
  package var program: @Sendable (String) -> String?

  package init(
    file: @escaping @Sendable (String) -> Finding,
    program: @escaping @Sendable (String) -> String?
  ) {
    self.file = file
    self.program = program
  }

  /// Of this host.
  ///
  /// A disk that hangs is not waited for: what cannot be told in time is told later, when it is
  /// missed.
  package static let real = TargetTrials(
    file: { path in
      HangingPlaces.shared.look(in: PathText.directory(of: path)) { lookAtFile(path) }
        ?? Finding(doubt: "its directory does not answer: the disk, or what is behind it, hangs")
    },
    program: { path in
      HangingPlaces.shared.look(in: PathText.directory(of: path)) { problemOfProgram(path) } ?? nil
    })

  /// What is no place for a file, though it could be opened.
  private static let special = ["/dev/", "/proc/", "/sys/"]
  private static let sharedMemory = "/dev/shm/"

  private static func lookAtFile(_ path: String) -> Finding {
    if special.contains(where: path.hasPrefix), !path.hasPrefix(sharedMemory) {
      return Finding(mistake: "is no file, but something of the system's")
    }
    if path.hasSuffix("/") || isDirectory(path) {
      return Finding(mistake: "is a directory: give the path of a file in it")
    }
    // What is there and cannot be read may be written all the same: it is replaced as a whole.
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
    if descriptor >= 0 {
      defer { close(descriptor) }
      guard lseek(descriptor, 0, SEEK_CUR) >= 0 else {
        return Finding(mistake: "is a pipe, a socket or a device: give the path of a file")
      }
    }
    let parent = PathText.directory(of: path)
    guard isDirectory(parent) else {
      return Finding(doubt: "its directory \(quoted(parent)) is not there")
    }
    guard unsafe access(parent, W_OK | X_OK) == 0 else {
      return Finding(doubt: "its directory \(quoted(parent)) may not be written to by this user")
    }
    return Finding()
  }

  private static func problemOfProgram(_ path: String) -> String? {
    if isDirectory(path) { return "is a directory, and no program" }
    guard unsafe access(path, F_OK) == 0 else {
      return errno == ENOENT ? "is not there" : "cannot be reached by this user"
    }
    guard unsafe access(path, X_OK) == 0 else {
      return "may not be run by this user: give it its run bit, as `chmod +x` does"
    }
    return nil
  }

  private static func isDirectory(_ path: String) -> Bool {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else {
      let isHidden = errno == EACCES
      return unsafe access(path + "/.", F_OK) == 0 && isHidden
    }
    close(descriptor)
    return true
  }
}

/// Paths as text.
enum PathText {
  /// The directory that a path leads into.
  static func directory(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The same path without what leads nowhere: two paths of one file are mostly one text then.
  static func plain(_ path: String) -> String {
    let parts = path.split(separator: "/").filter { $0 != "." }
    return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
  }
}

/// Looks at the disk that are given up when they take too long.
private final class HangingPlaces: Sendable {
  static let shared = HangingPlaces()

  private final class Answer<Value: Sendable>: Sendable {
    let value = Mutex<Value?>(nil)
  }

  /// Directories where a look has not ended.
  ///
  /// Each keeps its thread, and is not looked into again
  /// before. Taken before an answer's lock, never after it.
  private let hanging = Mutex<Set<String>>([])

  private static let patience: Duration = .seconds(1)
  private static let pause: useconds_t = 200

  /// What the look found; nil when it has not ended in time.
  func look<Value: Sendable>(
    in directory: String, _ find: @escaping @Sendable () -> Value
  ) -> Value? {
    guard !hanging.withLock({ $0.contains(directory) }) else { return nil }
    let answer = Answer<Value>()
    let code = startThread { [self] in
      let found = find()
      answer.value.withLock { $0 = found }
      _ = hanging.withLock { $0.remove(directory) }
    }
    guard code == 0 else { return find() }
    let end = ContinuousClock.now + Self.patience
    while ContinuousClock.now < end {
      if let found = answer.value.withLock({ $0 }) { return found }
      usleep(Self.pause)
    }
    return hanging.withLock { hanging in
      let found = answer.value.withLock { $0 }
      if found == nil { hanging.insert(directory) }
      return found
    }
  }
}
