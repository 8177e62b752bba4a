import Foundation
import Synchronization
import Testing

@testable import Sidecar

@Suite struct SecretFileTests {
  @Test(arguments: [
    ("secret", "secret"), ("secret\n", "secret"), ("secret\r\n", "secret"),
    ("secret\n\n", "secret\n"), (" secret", " secret"),
  ])
  func `one newline at the end is not part of the secret`(content: String, secret: String) throws {
    let file = try SecretFile(path: "/s", readFile: FakeFiles(["/s": content]).read)
    #expect(file.current().revealed == secret)
  }

  @Test func `while a reading hangs nobody else waits for it`() async throws {
    let (reading, goOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let files = FakeFiles(["/s": "first"])
    let hangs = Atomic(false)
    let file = try SecretFile(
      path: "/s",
      readFile: { path throws(FileProblem) in
        if hangs.exchange(false, ordering: .acquiringAndReleasing) {
          reading.signal()
          goOn.wait()
        }
        return try files.read(path)
      })
    files["/s"] = "second"
    hangs.store(true, ordering: .releasing)
    let first = BlockedReader { file.current() }
    reading.wait()
    #expect(file.current() == Secret("first") && file.latest == Secret("first"))
    goOn.signal()
    #expect(first.value() == Secret("second"))
    #expect(file.current() == Secret("second"))
  }

  @Test func `a change is seen at the next reading, and a bad one keeps the last good value`()
    throws
  {
    let files = FakeFiles(["/s": "first"])
    let file = try SecretFile(path: "/s", readFile: files.read)
    files["/s"] = "second\n"
    #expect(file.current() == Secret("second"))
    files["/s"] = "\n"
    #expect(file.current() == Secret("second"))
    #expect(file.problem()?.reason == "is empty")
    files["/s"] = nil
    #expect(file.current() == Secret("second"))
    #expect(file.problem()?.reason == "does not exist")
    files["/s"] = "third"
    #expect(file.current() == Secret("third"))
    #expect(file.problem() == nil)
  }

  @Test func `Kubernetes' swap of the data directory is followed`() throws {
    let manager = FileManager.default
    let directory = manager.temporaryDirectory.appending(path: "wch-\(UUID())")
    defer { try? manager.removeItem(at: directory) }
    for (name, content) in [("v1", "first\n"), ("v2", "second\n")] {
      let version = directory.appending(path: name)
      try manager.createDirectory(at: version, withIntermediateDirectories: true)
      try Data(content.utf8).write(to: version.appending(path: "secret"))
    }
    let data = directory.appending(path: "..data").path
    try manager.createSymbolicLink(atPath: data, withDestinationPath: "v1")
    let path = directory.appending(path: "secret").path
    try manager.createSymbolicLink(atPath: path, withDestinationPath: "..data/secret")

    let file = try SecretFile(path: path)
    #expect(file.current() == Secret("first"))
    let next = directory.appending(path: "..data_tmp").path
    try manager.createSymbolicLink(atPath: next, withDestinationPath: "v2")
    let renamed = unsafe rename(next, data)
    try #require(renamed == 0)
    #expect(file.current() == Secret("second"))
    try manager.removeItem(atPath: data)
    #expect(file.current() == Secret("second"))
    #expect(file.problem() != nil)
  }

  @Test(arguments: [("/dev/zero", "is larger than 1024 KiB"), ("/", "is a directory")])
  func `what is no file is an error and no hang`(path: String, reason: String) {
    #expect(throws: FileProblem(reason)) { try RegularFile.read(path) }
  }

  @Test func `a secret shows itself nowhere`() {
    #expect("\(Secret("hush"))" == "<secret>")
    #expect(String(reflecting: Secret("hush")) == "<secret>")
    var dumped = ""
    dump(Secret("hush"), to: &dumped)
    #expect(!dumped.contains("hush"))
  }
}

/// Reads on a thread of its own.
private final class BlockedReader: Sendable {
  private let result = Mutex<Secret?>(nil)
  private let done = DispatchSemaphore(value: 0)

  init(_ read: @escaping @Sendable () -> Secret) {
    Thread.detachNewThread { [self] in
      let secret = read()
      result.withLock { $0 = secret }
      done.signal()
    }
  }

  func value() -> Secret? {
    done.wait()
    return result.withLock { $0 }
  }
}
