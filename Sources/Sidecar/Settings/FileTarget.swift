import Glibc

/// A file that a token is kept in, for software that reads nothing else.
package struct FileTarget: Hashable, Sendable {
  /// What is in it.
  package enum Form: String, Hashable, Sendable, CaseIterable {
    /// An object with the token, its expiry and the account's tickets.
    case json
    /// The token and nothing else, not even the end of a line.
    case raw
    /// Lines that a shell, a container's `--env-file` and systemd's `EnvironmentFile` read.
    case env
    /// WeChat's own sample for PHP: a script that ends at once, and JSON behind it.
    case php
  }

  /// Of the account: nothing in it stands for anything else.
  package let path: String
  package let form: Form
  /// Permissions, whatever the umask is.
  package let mode: UInt32
  /// Whose it is; nil for the daemon's.
  package let owner: FileOwner?

  package init(path: String, form: Form = .json, mode: UInt32 = 0o640, owner: FileOwner? = nil) {
    self.path = path
    self.form = form
    self.mode = mode
    self.owner = owner
  }

  /// What stands for the account's name in a path and in arguments.
  static let accountMark = "{account}"

  /// The path for that account.
  static func path(_ pattern: String, of account: String) -> String {
    pattern.replacing(accountMark, with: account)
  }

  /// Permissions as people write them: `640`, `0640`; nil for anything else.
  static func mode(_ text: String) -> UInt32? {
    guard (3...4).contains(text.utf8.count), text.count == 3 || text.hasPrefix("0"),
      text.utf8.allSatisfy({ (0x30...0x37).contains($0) }), let mode = UInt32(text, radix: 8),
      mode & 0o400 != 0
    else { return nil }
    return mode
  }
}

/// The user and the group of a file, by their numbers.
package struct FileOwner: Hashable, Sendable, CustomStringConvertible {
  /// Nil leaves it as it is.
  package let user: UInt32?
  package let group: UInt32?

  package var description: String {
    "\(user.map(String.init) ?? "")\(group.map { ":\($0)" } ?? "")"
  }

  package init(user: UInt32?, group: UInt32?) {
    self.user = user
    self.group = group
  }

  /// Reads `USER`, `USER:GROUP`, `:GROUP`, each a number or a name of this host.
  ///
  /// - Throws: `FileProblem` with what is wrong.
  init(_ text: String) throws(FileProblem) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      .map(String.init)
    let (name, groupName) = (parts[0], parts.count == 2 ? parts[1] : nil)
    guard !name.isEmpty || !(groupName ?? "").isEmpty else {
      throw FileProblem("is not \(Setting.fileOwner.form)")
    }
    user = name.isEmpty ? nil : try Self.number(name, "user", Self.user)
    group = try groupName.flatMap { name throws(FileProblem) in
      name.isEmpty ? nil : try Self.number(name, "group", Self.group)
    }
  }

  private static func number(
    _ name: String, _ what: String, _ find: (String) -> UInt32?
  ) throws(FileProblem) -> UInt32 {
    if let number = UInt32(name), number != .max { return number }
    guard let found = find(name) else {
      throw FileProblem("names a \(what) that this host does not have: give its number")
    }
    return found
  }

  /// Room for what the host's tables say of one name.
  private static let room = 16_384

  private static func user(_ name: String) -> UInt32? {
    var entry = unsafe passwd()
    var found: UnsafeMutablePointer<passwd>?
    var buffer = [CChar](repeating: 0, count: room)
    // SAFETY: the buffer outlives the call, and the entry is read before it goes.
    let code = unsafe getpwnam_r(name, &entry, &buffer, buffer.count, &found)
    return unsafe code == 0 && found != nil ? unsafe entry.pw_uid : nil
  }

  private static func group(_ name: String) -> UInt32? {
    var entry = unsafe Glibc.group()
    var found: UnsafeMutablePointer<Glibc.group>?
    var buffer = [CChar](repeating: 0, count: room)
    // SAFETY: as above.
    let code = unsafe getgrnam_r(name, &entry, &buffer, buffer.count, &found)
    return unsafe code == 0 && found != nil ? unsafe entry.gr_gid : nil
  }
}
