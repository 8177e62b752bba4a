import Glibc

/// A small file that is replaced as a whole: whoever reads it finds the old one or the new one,
/// also after a loss of power.
///
/// Everything here takes as long as the disk does: it is for a thread that may be kept.
package struct ReplacedFile: Sendable {
  private let path: String
  /// Permissions, whatever the umask is.
  private let mode: UInt32
  private let user: UInt32?
  private let group: UInt32?

  package init(path: String, mode: UInt32, user: UInt32? = nil, group: UInt32? = nil) {
    self.path = path
    self.mode = mode
    self.user = user
    self.group = group
  }

  /// Whether the file is there and holds exactly this; nil when it is not there.
  package func holds(_ bytes: [UInt8]) throws(FileProblem) -> Bool? {
    guard unsafe access(path, F_OK) == 0 || errno != ENOENT else { return nil }
    return try RegularFile.read(path) == bytes
  }

  /// Puts it there.
  ///
  /// - Parameter isWanted: asked right before the old one is replaced: what comes too late must
  ///   not replace what came after it.
  /// - Returns: whether it is there now, as it was wanted.
  package func write(
    _ bytes: [UInt8], isWanted: () -> Bool = { true }
  ) throws(FileProblem) -> Bool {
    let path = try destination()
    let (directory, name) = Self.split(path)
    let temporary = "\(directory)/\(Self.temporaryName(name))"
    let descriptor = unsafe open(
      temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { throw FileProblem(Self.reason(errno)) }
    do throws(FileProblem) {
      defer { close(descriptor) }
      try fill(descriptor, bytes)
    } catch {
      unsafe unlink(temporary)
      throw error
    }
    guard isWanted() else {
      unsafe unlink(temporary)
      return false
    }
    guard unsafe rename(temporary, path) == 0 else {
      let code = errno
      unsafe unlink(temporary)
      throw FileProblem(Self.reason(code))
    }
    Self.keepNames(in: directory)
    return true
  }

  /// Takes away what an earlier process left half done, killed between two steps.
  package func clear() {
    guard let path = try? destination() else { return }
    let (directory, name) = Self.split(path)
    let beginning = Self.temporaryBeginning(name)
    for found in (try? SmallDirectory.names(in: directory)) ?? []
    where found.hasPrefix(beginning) && found.hasSuffix(Self.temporaryEnd)
      && found.utf8.count == beginning.utf8.count + Self.randomDigits + Self.temporaryEnd.utf8.count
    {
      unsafe unlink("\(directory)/\(found)")
    }
  }

  // MARK: Steps

  /// Where the path leads: a link stays, and what it names is replaced, or put there.
  private func destination() throws(FileProblem) -> String {
    var place = path
    for _ in 0...Self.mostLinks {
      if let real = unsafe realpath(place, nil) {
        defer { unsafe free(real) }
        return unsafe String(cString: real)
      }
      guard errno == ENOENT else { throw FileProblem(Self.reason(errno)) }
      guard let link = Self.link(at: place) else { return place }
      place = link.hasPrefix("/") ? link : "\(Self.split(place).directory)/\(link)"
    }
    throw FileProblem(Self.reason(ELOOP))
  }

  /// So many links to what is not there are followed one after the other.
  private static let mostLinks = 8

  /// What a symbolic link names; nil when it is none.
  private static func link(at path: String) -> String? {
    var target = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink(path, &target, target.count)
    guard count >= 0 else { return nil }
    return String(decoding: target.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  private func fill(_ descriptor: CInt, _ bytes: [UInt8]) throws(FileProblem) {
    if user != nil || group != nil {
      guard fchown(descriptor, user ?? .max, group ?? .max) == 0 else {
        throw FileProblem(
          errno == EPERM
            ? "cannot be given to its owner by this user: that takes root (CAP_CHOWN)"
            : Self.reason(errno))
      }
    }
    guard fchmod(descriptor, mode) == 0 else { throw FileProblem(Self.reason(errno)) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes {
        unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileProblem(Self.reason(count == 0 ? ENOSPC : errno)) }
      rest = rest.dropFirst(count)
    }
    guard fsync(descriptor) == 0 else { throw FileProblem(Self.reason(errno)) }
  }

  /// Has the directory itself on the disk; some file systems cannot, and need not.
  private static func keepNames(in directory: String) {
    let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    _ = fsync(descriptor)
    close(descriptor)
  }

  private static func split(_ path: String) -> (directory: String, name: String) {
    guard let slash = path.lastIndex(of: "/") else { return (".", path) }
    return (
      slash == path.startIndex ? "" : String(path[..<slash]),
      String(path[path.index(after: slash)...])
    )
  }

  // MARK: Names of what is half done

  private static let temporaryEnd = ".tmp"
  private static let randomDigits = 16
  /// A name has 255 bytes at most; the rest of these tells one file from another.
  private static let longestName = 200

  private static func temporaryBeginning(_ name: String) -> String {
    "." + String(decoding: name.utf8.prefix(longestName), as: UTF8.self) + "."
  }

  private static func temporaryName(_ name: String) -> String {
    let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
    return temporaryBeginning(name)
      + String(repeating: "0", count: randomDigits - digits.count) + digits + temporaryEnd
  }

  private static func reason(_ code: CInt) -> String {
    switch code {
    case ENOENT: "cannot be made: its directory is not there"
    case ENOTDIR: "cannot be made: its directory is none"
    case EACCES, EPERM: "may not be made or replaced by this user"
    case EROFS: "is on a file system that is read-only"
    case ENOSPC: "cannot be written: the disk is full"
    case EDQUOT: "cannot be written: the quota is used up"
    case EISDIR: "is a directory"
    case ELOOP: "is a loop of symbolic links"
    case EMFILE, ENFILE: "cannot be made: no descriptor is to be had"
    case EIO: "cannot be written: the disk reports an error"
    default: "cannot be written (errno \(code))"
    }
  }
}
