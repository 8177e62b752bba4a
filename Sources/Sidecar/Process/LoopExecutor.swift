import NIOCore
import NIOPosix
import ServiceLifecycle

/// Runs tasks on the thread of one event loop.
///
/// The keeper, Redis and WeChat have one, the HTTP interface another: what strangers ask can keep
/// only their own thread busy, and what the keeper decides goes out on the thread it is decided on.
final class LoopExecutor: TaskExecutor {
  let eventLoop: any EventLoop
  private let group: MultiThreadedEventLoopGroup

  init() {
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    eventLoop = group.next()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    // The loop runs each job once, and all of them before it ends: `shutdown` comes last.
    let job = UnownedJob(job)
    eventLoop.execute { [self] in
      unsafe job.runSynchronously(on: asUnownedTaskExecutor())
    }
  }

  /// The loops, for those who take a group of them.
  var loops: any EventLoopGroup { group }

  /// Ends the thread, once nothing runs on it any more.
  func shutdown() async throws { try await group.shutdownGracefully() }
}

/// A service that runs on an executor of its own.
struct Confined: Service {
  private let service: any Service
  private let executor: LoopExecutor

  init(_ service: any Service, to executor: LoopExecutor) {
    self.service = service
    self.executor = executor
  }

  func run() async throws {
    try await withTaskExecutorPreference(executor) { try await service.run() }
  }
}
