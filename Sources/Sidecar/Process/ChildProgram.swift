import Glibc
import Synchronization

/// A program of somebody else's, run once: what it reads is given at the start, what it prints is
/// kept up to a bound, and its time is limited.
///
/// It runs in a session of its own, so that no signal for us reaches it, and one for it reaches
/// what it has started. It inherits nothing but its three standard descriptors.
package final class ChildProgram: Sendable {
  /// How it ended.
  package enum End: Hashable, Sendable {
    case exited(Int)
    case killed(signal: Int)
    /// It had not ended in its time, and was ended.
    case late
    /// It was ended, since nobody wants it any more.
    case stopped
    case notStarted(String)
  }

  /// How long it may take.
  package struct Limits: Hashable, Sendable {
    /// Until SIGTERM.
    package var time: Duration = .seconds(10)
    /// From SIGTERM to SIGKILL.
    package var grace: Duration = .seconds(2)

    package init() {}

    /// When this process ends itself.
    static let shortGrace: Duration = .milliseconds(400)
    /// What does not even end by SIGKILL waits for a disk: nobody waits for it.
    static let patience: Duration = .seconds(1)
    /// What it has started may keep the pipe open: so long it is read after the program's end.
    static let afterwards: Duration = .milliseconds(100)
  }

  private let words: [String]
  private let environment: [String: String]
  private let input: [UInt8]
  private let kept: Int
  private let limits: Limits
  private let isUnwanted = Atomic(false)

  /// - Parameters:
  ///   - words: the program's path first.
  ///   - environment: all of it.
  ///   - input: at most what a pipe takes at once, 4 KiB at least.
  ///   - kept: of what it prints so many bytes are kept.
  package init(
    _ words: [String], environment: [String: String], input: [UInt8], kept: Int,
    limits: Limits = Limits()
  ) {
    self.words = words
    self.environment = environment
    self.input = input
    self.kept = kept
    self.limits = limits
  }

  /// Ends it soon, from any thread.
  package func stop() { isUnwanted.store(true, ordering: .releasing) }

  /// Runs it; returns a little after its time is over at the latest, but for a start that hangs.
  package func run() -> (end: End, output: [UInt8]) {
    let pipes: (input: Pipe, output: Pipe)
    do throws(Failure) {
      pipes = try (Pipe(), Pipe())
    } catch {
      return (.notStarted(error.reason), [])
    }
    defer { pipes.output.close() }
    // The pipe takes all of it at once, whether or not the program ever reads it.
    _ = fcntl(pipes.input.writing.descriptor, F_SETFL, O_NONBLOCK)
    let written = unsafe Glibc.write(pipes.input.writing.descriptor, input, input.count)
    pipes.input.writing.close()
    let id: pid_t
    do throws(Failure) {
      guard written == input.count else { throw Failure(reason: "its input cannot be given to it") }
      id = try spawn(pipes)
    } catch {
      pipes.input.close()
      return (.notStarted(error.reason), [])
    }
    pipes.input.close()
    pipes.output.writing.close()
    _ = fcntl(pipes.output.reading.descriptor, F_SETFL, O_NONBLOCK)
    var reading = Reading(descriptor: pipes.output.reading.descriptor, kept: kept)
    let end = wait(for: id, &reading)
    return (end, reading.bytes)
  }

  // MARK: Waiting

  private enum Phase {
    case running
    case terminated(since: ContinuousClock.Instant, as: End)
    case killed(since: ContinuousClock.Instant, as: End)
  }

  private func wait(for id: pid_t, _ reading: inout Reading) -> End {
    let start = ContinuousClock.now
    var phase = Phase.running
    while true {
      reading.read()
      if Self.hasEnded(id) {
        let drained = ContinuousClock.now + Limits.afterwards
        while !reading.isOver, ContinuousClock.now < drained { reading.read() }
        if case .running = phase { return Self.collect(id) ?? .exited(0) }
        // Before its id can be somebody else's: what it has started is ended with it.
        _ = kill(-id, SIGKILL)
        let end = Self.collect(id)
        switch phase {
        case .running: return end ?? .exited(0)
        case .terminated(_, let told), .killed(_, let told): return told
        }
      }
      let now = ContinuousClock.now
      switch phase {
      case .running:
        let isUnwanted = isUnwanted.load(ordering: .acquiring)
        guard isUnwanted || now - start >= limits.time else { continue }
        Self.signal(id, SIGTERM)
        phase = .terminated(since: now, as: isUnwanted ? .stopped : .late)
      case .terminated(let since, let end):
        let isUnwanted = isUnwanted.load(ordering: .acquiring)
        let grace = isUnwanted ? min(Limits.shortGrace, limits.grace) : limits.grace
        guard now - since >= grace else { continue }
        Self.signal(id, SIGKILL)
        phase = .killed(since: now, as: end)
      case .killed(let since, let end):
        guard now - since >= Limits.patience else { continue }
        return end
      }
    }
  }

  private static func signal(_ id: pid_t, _ number: CInt) {
    _ = kill(-id, number)
    // Who was stopped takes it when it goes on.
    _ = kill(-id, SIGCONT)
  }

  /// Whether it has ended; its id stays its own until it is collected.
  private static func hasEnded(_ id: pid_t) -> Bool {
    var info = unsafe siginfo_t()
    let result = unsafe waitid(P_PID, id_t(id), &info, WEXITED | WNOHANG | WNOWAIT)
    return unsafe result == 0 && info._sifields._sigchld.si_pid == id
  }

  private static func collect(_ id: pid_t) -> End? {
    var status: CInt = 0
    while true {
      let result = unsafe waitpid(id, &status, WNOHANG)
      if result == -1, errno == EINTR { continue }
      guard result == id else { return nil }
      let number = Int(status & 0x7f)
      return number == 0 ? .exited(Int((status >> 8) & 0xff)) : .killed(signal: number)
    }
  }

  // MARK: Starting

  private struct Failure: Error {
    let reason: String
  }

  private func spawn(
    _ pipes: (input: Pipe, output: Pipe)
  ) throws(Failure) -> pid_t {
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // It begins as any program does, whatever signals mean here.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe posix_spawnattr_setsigmask(&attributes, &signals)
    unsafe sigfillset(&signals)
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(
      &attributes,
      Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) | Self.newSession)
    var files = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&files)
    defer { unsafe posix_spawn_file_actions_destroy(&files) }
    unsafe posix_spawn_file_actions_adddup2(
      &files, pipes.input.reading.descriptor, STDIN_FILENO)
    for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
      unsafe posix_spawn_file_actions_adddup2(
        &files, pipes.output.writing.descriptor, descriptor)
    }
    // NIO's sockets would be inherited: it would go on listening where we do.
    guard unsafe closeFrom?(&files, STDERR_FILENO + 1) == 0 else {
      throw Failure(reason: "this C library cannot start a program without what is open here")
    }
    let (arguments, variables) = unsafe (
      Self.copied(words), Self.copied(environment.map { "\($0.key)=\($0.value)" }.sorted())
    )
    defer { unsafe (arguments + variables).forEach { unsafe free($0) } }
    var id: pid_t = 0
    let code = unsafe posix_spawn(&id, words[0], &files, &attributes, arguments, variables)
    guard code == 0 else { throw Failure(reason: Self.reason(code)) }
    return id
  }

  /// `POSIX_SPAWN_SETSID`, which glibc has since 2.26 and its module hides.
  private static let newSession: Int16 = 0x80

  /// The strings as C has them, with the null at the end; the caller frees them.
  private static func copied(_ strings: [String]) -> [UnsafeMutablePointer<CChar>?] {
    unsafe strings.map { unsafe strdup($0) } + [nil]
  }

  private static func reason(_ code: CInt) -> String {
    switch code {
    case ENOENT: "it is not there, or what its `#!` line names is not"
    case EACCES, EPERM: "it may not be run by this user"
    case ENOEXEC: "it is no program, and a script needs a `#!` line"
    case EAGAIN, ENOMEM: "no process is to be had for it (errno \(code))"
    case E2BIG: "its arguments and its environment are too long"
    case ETXTBSY: "it is being written"
    default: "it cannot be started (errno \(code))"
    }
  }

  // MARK: Pipes

  /// One end of a pipe, closed once.
  private final class PipeEnd {
    private(set) var descriptor: CInt
    init(_ descriptor: CInt) { self.descriptor = descriptor }

    func close() {
      guard descriptor >= 0 else { return }
      Glibc.close(descriptor)
      descriptor = -1
    }
  }

  /// A pipe whose ends no other program that is started inherits.
  private struct Pipe {
    let reading: PipeEnd
    let writing: PipeEnd

    init() throws(Failure) {
      var ends: [CInt] = [-1, -1]
      guard unsafe pipe(&ends) == 0 else {
        throw Failure(reason: "no pipe is to be had for it (errno \(errno))")
      }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      reading = PipeEnd(ends[0])
      writing = PipeEnd(ends[1])
    }

    func close() {
      reading.close()
      writing.close()
    }
  }

  /// What it prints, as far as it is kept.
  private struct Reading {
    let descriptor: CInt
    let kept: Int
    private(set) var bytes: [UInt8] = []
    private(set) var isOver = false
    private var total = 0
    private var chunk = [UInt8](repeating: 0, count: 16_384)

    /// What prints more than so much is read slowly: its time is limited, and so is what it may
    /// cost here.
    private static let free = 1 << 20
    private static let pause: useconds_t = 10_000
    /// Between two looks at whether it has ended.
    private static let look: CInt = 20

    init(descriptor: CInt, kept: Int) {
      self.descriptor = descriptor
      self.kept = kept
    }

    /// Reads what is there; waits a little when nothing is.
    mutating func read() {
      guard !isOver else {
        usleep(Self.pause)
        return
      }
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard unsafe poll(&wanted, 1, Self.look) > 0 else { return }
      let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
      guard count > 0 else {
        if count == 0 || errno != EAGAIN && errno != EINTR { isOver = true }
        return
      }
      total += count
      bytes += chunk[..<min(count, kept - bytes.count)]
      if total > Self.free { usleep(Self.pause) }
    }
  }
}

/// `posix_spawn_file_actions_addclosefrom_np`, which glibc has since 2.34 and its module hides.
private let closeFrom = unsafe dlsym(nil, "posix_spawn_file_actions_addclosefrom_np").map {
  unsafe unsafeBitCast(
    $0, to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt).self)
}
