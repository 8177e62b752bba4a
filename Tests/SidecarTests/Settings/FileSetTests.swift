import Dispatch
import Synchronization
import TestSupport
import Testing

@testable import RedisClient
@testable import Sidecar

/// What the regular look at files of certificates finds.
@Suite("Files of certificates") struct FileSetTests {
  /// Files in memory.
  private final class Files: Sendable {
    /// Protects them against the set that reads.
    private let contents = Mutex<[String: String]>([:])
    /// Protects the count.
    private let judged = Mutex(0)

    var judgements: Int { judged.withLock { $0 } }

    func write(_ path: String, _ text: String?) { contents.withLock { $0[path] = text } }

    func set(_ paths: [String]) -> FileSet? {
      FileSet(
        paths,
        readFile: { [self] path throws(FileProblem) in
          guard let text = contents.withLock({ $0[path] }) else {
            throw FileProblem("does not exist")
          }
          return Array(text.utf8)
        },
        judge: { [self] contents in
          judged.withLock { $0 += 1 }
          return contents.contains(Array("bad".utf8)) ? "it is bad" : nil
        })
    }
  }

  @Test("a file that is gone is told with its path, and what has not changed is judged once")
  func looks() throws {
    let files = Files()
    files.write("/ca", "good")
    files.write("/key", "good")
    var set = try #require(files.set(["/ca", "/key"]))
    for _ in 0..<3 { #expect(set.problem() == nil) }
    #expect(files.judgements == 1)
    files.write("/key", "bad")
    for _ in 0..<3 { #expect(set.problem() == "it is bad") }
    #expect(files.judgements == 2)
    files.write("/key", nil)
    #expect(set.problem() == "/key does not exist")
    files.write("/key", "good")
    #expect(set.problem() == nil)
    #expect(set.subject == "/ca")
    #expect(files.set([]) == nil)
  }

  @Test("a volume that hangs keeps neither the watch from ending nor other tasks from running")
  func hanging() async throws {
    let (isReading, goesOn) = (Gate(), DispatchSemaphore(value: 0))
    defer { goesOn.signal() }
    let set = FileSet(
      ["/ca"],
      readFile: { _ throws(FileProblem) in
        isReading.open()
        goesOn.wait()
        return []
      }, judge: { _ in nil })
    let watch = CertificateWatch(
      certificates: nil, sets: [try #require(set)], interval: .zero, tell: { _, _ in })
    let watching = Task { try await watch.run() }
    #expect(try await withTimeLimit { await isReading.passed() })
    watching.cancel()
    try await withTimeLimit { try await watching.value }
  }
}
