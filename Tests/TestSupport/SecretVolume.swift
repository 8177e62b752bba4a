package import Foundation

/// A directory as Kubernetes mounts secrets in it: what is seen are links through `..data`, and
/// another one is renamed to that, so that all have other contents in one step.
package final class SecretVolume {
  package let path: String
  private let directory: URL
  private var generation = 0

  /// - Parameter files: contents by their path in it, such as `shop/appid`.
  package init(_ directory: URL, _ files: [String: String]) throws {
    self.directory = directory
    path = directory.path
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    try swap(to: files)
  }

  /// Has these contents from now on, and no others.
  package func swap(to files: [String: String]) throws {
    let manager = FileManager.default
    let old = "..2026_11_30_\(generation)"
    generation += 1
    let new = "..2026_11_30_\(generation)"
    for (path, content) in files {
      let file = directory.appendingPathComponent(new).appendingPathComponent(path)
      try manager.createDirectory(
        at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(content.utf8).write(to: file)
    }
    let link = directory.appendingPathComponent("..data_tmp").path
    try manager.createSymbolicLink(atPath: link, withDestinationPath: new)
    guard unsafe rename(link, directory.appendingPathComponent("..data").path) == 0 else {
      throw SidecarProcess.Failure("..data cannot be swapped")
    }
    let names = Set(files.keys.map { String($0.prefix { $0 != "/" }) })
    let seen = Set(try manager.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix("..") })
    for name in names.subtracting(seen) {
      try manager.createSymbolicLink(
        atPath: directory.appendingPathComponent(name).path, withDestinationPath: "..data/\(name)")
    }
    for name in seen.subtracting(names) {
      try manager.removeItem(at: directory.appendingPathComponent(name))
    }
    try? manager.removeItem(at: directory.appendingPathComponent(old))
  }
}
