import Glibc

/// A file could not be read; says which and why.
package struct FileProblem: Error, Hashable, CustomStringConvertible {
  /// What happened, without the path (the caller names it with its origin).
  package let reason: String
  package init(_ reason: String) { self.reason = reason }
  package var description: String { reason }
}

/// Reads a small file whole.
package typealias FileReader = @Sendable (_ path: String) throws(FileProblem) -> [UInt8]

/// Small files: configuration, secrets, certificates.
package enum RegularFile {
  /// A configuration with hundreds of accounts takes 64 KiB; more is not one of ours.
  package static let sizeLimit = 1 << 20

  /// Reads a regular file of at most `sizeLimit` bytes, following symbolic links.
  ///
  /// Opening does not block, so that a named pipe in the place of a secret is an error and not a
  /// hang.
  package static func read(_ path: String) throws(FileProblem) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileProblem(reason(of: errno)) }
    defer { close(descriptor) }
    // A pipe and a socket have no position. (`fstat` would say more, but a module that NIO brings
    // into release builds has a `stat` of its own, and the two cannot be told apart.)
    guard lseek(descriptor, 0, SEEK_CUR) >= 0 else { throw FileProblem("is not a regular file") }
    // Files under /proc say that they have no length: read until the end is met. One byte more
    // than the limit tells a file that is too long from one that fits.
    var bytes = [UInt8](repeating: 0, count: 4096)
    var filled = 0
    while true {
      let count = unsafe bytes.withUnsafeMutableBytes { buffer in
        let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
        return unsafe Glibc.read(descriptor, rest.baseAddress, rest.count)
      }
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        throw FileProblem(reason(of: errno))
      }
      filled += count
      guard filled <= sizeLimit else {
        throw FileProblem("is larger than \(sizeLimit / 1024) KiB")
      }
      if filled == bytes.count {
        let room = min(bytes.count, sizeLimit + 1 - bytes.count)
        bytes.append(contentsOf: repeatElement(0, count: room))
      }
    }
    return Array(bytes[..<filled])
  }

  fileprivate static func reason(of code: CInt) -> String {
    switch code {
    case ENOENT: "does not exist"
    case ENOTDIR: "is not a directory"
    case EACCES, EPERM: "may not be read by this user"
    case EISDIR: "is a directory"
    case ELOOP: "is a loop of symbolic links"
    default: "cannot be read (errno \(code))"
    }
  }
}

/// What a directory holds: names, without `.` and `..`, in their order.
package typealias DirectoryReader = @Sendable (_ path: String) throws(FileProblem) -> [String]

/// Directories that hold a few files.
package enum SmallDirectory {
  /// A directory with more entries is not one of ours.
  package static let limit = 4096

  /// Lists a directory, following symbolic links.
  package static func names(in path: String) throws(FileProblem) -> [String] {
    guard let directory = unsafe opendir(path) else {
      throw FileProblem(RegularFile.reason(of: errno))
    }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
          unsafe String(cString: $0)
        }
      }
      guard name != ".", name != ".." else { continue }
      guard names.count < limit else { throw FileProblem("has more than \(limit) entries") }
      names.append(name)
    }
    return names.sorted()
  }
}
