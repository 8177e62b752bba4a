import NIOCore
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Looks names up on threads of its own, since the system's resolver blocks.
///
/// A thread is made when a look-up needs one, and ends when none waits: look-ups are rare, and a
/// thread takes less time than a question to a name server.
final class NameLookUps: Sendable {
  /// What the system says about a name.
  enum Answer: Hashable, Sendable {
    case addresses([SocketAddress])
    case failure(reason: String)
  }

  typealias Question = LookUpQueue<SocketAddress>.Question
  typealias Ticket = LookUpQueue<SocketAddress>.Ticket
  typealias Resolve = @Sendable (_ name: String, Dialer.Family) -> Answer

  private struct State {
    var queue = LookUpQueue<SocketAddress>()
    var handlers: [Ticket: @Sendable (Answer) -> Void] = [:]
    var lastTicket: Ticket = 0
  }

  private let resolve: Resolve
  /// Protects what is asked, kept and awaited: used by the threads and by every event loop.
  private let state = Mutex(State())

  /// - Parameter resolve: blocks for as long as it likes.
  init(resolve: @escaping Resolve) { self.resolve = resolve }

  /// Looks a name up.
  ///
  /// - Parameters:
  ///   - isApart: whether the question helps out one that takes long.
  ///   - answered: called once on another thread, unless the ticket is withdrawn before.
  func ask(
    _ question: Question, isApart: Bool, answered: @escaping @Sendable (Answer) -> Void
  ) -> Ticket {
    let (ticket, verdict) = state.withLock { state in
      state.lastTicket += 1
      let ticket = state.lastTicket
      let verdict = state.queue.ask(question, isApart: isApart, ticket: ticket)
      if verdict != .refuse { state.handlers[ticket] = answered }
      return (ticket, verdict)
    }
    switch verdict {
    case .wait: break
    case .refuse: answered(.failure(reason: hanging))
    case .start: start(question)
    }
    return ticket
  }

  /// Waits for it no more; what comes all the same is kept for the next who asks.
  func withdraw(_ ticket: Ticket) {
    state.withLock { state in
      state.queue.withdraw(ticket)
      state.handlers[ticket] = nil
    }
  }

  /// Why a question has no thread yet; nil when it has.
  func hindrance(of ticket: Ticket) -> String? {
    state.withLock { $0.queue.isWaiting(ticket) } ? hanging : nil
  }

  /// What earlier look-ups and connections have left: what came too late, and what was good.
  func known(of name: String, _ family: Dialer.Family) -> (
    late: [SocketAddress], lastGood: [SocketAddress]
  ) {
    let now = ContinuousClock.now
    let (late, lastGood) = state.withLock { state in
      (
        state.queue.lateAddresses(of: name, family, at: now),
        state.queue.lastGoodAddresses(of: name, at: now)
      )
    }
    return (late.filter(family.includes), lastGood.filter(family.includes))
  }

  /// Keeps addresses of which the first has just taken a connection.
  func remember(_ addresses: [SocketAddress], of name: String) {
    state.withLock { $0.queue.remember(addresses, of: name, at: .now) }
  }

  private var hanging: String {
    let names = state.withLock { $0.queue.names }
    return "all threads for look-ups are held by \(names.joined(separator: ", "))"
  }

  // MARK: Threads

  private func start(_ first: Question) {
    var next: Question? = first
    while let question = next {
      let code = startThread { self.run(question) }
      guard code != 0 else { return }
      next = finish(question, .failure(reason: "no thread is to be had for it: errno \(code)"))
    }
  }

  private func run(_ first: Question) {
    var next: Question? = first
    while let question = next { next = finish(question, resolve(question.name, question.family)) }
  }

  /// - Returns: what the same thread is to ask next.
  private func finish(_ question: Question, _ answer: Answer) -> Question? {
    let addresses: [SocketAddress]? =
      if case .addresses(let addresses) = answer { addresses } else { nil }
    let (handlers, next) = state.withLock { state in
      let (told, next) = state.queue.finish(question, addresses: addresses, at: .now)
      return (told.compactMap { state.handlers.removeValue(forKey: $0) }, next)
    }
    for handler in handlers { handler(answer) }
    return next
  }
}

/// Starts a thread that nobody waits for; 0, or why there is none.
package func startThread(_ body: @escaping @Sendable () -> Void) -> CInt {
  let box = unsafe Unmanaged.passRetained(Body(run: body))
  #if canImport(Darwin)
    var thread: pthread_t?
  #else
    var thread = pthread_t()
  #endif
  let code = unsafe pthread_create(
    &thread, nil,
    { box in
      // Signals are for threads that know them.
      var all = sigset_t()
      unsafe sigfillset(&all)
      unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
      #if canImport(Darwin)
        unsafe Unmanaged<Body>.fromOpaque(box).takeRetainedValue().run()
      #else
        unsafe Unmanaged<Body>.fromOpaque(box!).takeRetainedValue().run()
      #endif
      return nil
    }, unsafe box.toOpaque())
  guard code == 0 else {
    unsafe box.release()
    return code
  }
  #if canImport(Darwin)
    if let thread = unsafe thread { unsafe pthread_detach(thread) }
  #else
    pthread_detach(thread)
  #endif
  return 0
}

/// What a thread does, as C carries it.
private final class Body: Sendable {
  let run: @Sendable () -> Void
  init(run: @escaping @Sendable () -> Void) { self.run = run }
}
