import FoundationEssentials
import Glibc

/// What the kernel knows about this process (`proc(5)`).
package struct ProcessFigures: Hashable, Sendable {
  package var cpuSeconds: Double
  package var openFiles: Double?
  package var maxFiles: Double?
  package var virtualBytes: Double
  package var residentBytes: Double
  package var startSecond: Double?

  /// The figures now; nil where there is no `/proc`.
  package static func current() -> ProcessFigures? {
    guard let stat = text("/proc/self/stat") else { return nil }
    return ProcessFigures(
      stat: stat, limits: text("/proc/self/limits") ?? "", systemStat: text("/proc/stat") ?? "",
      openFiles: (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))?.count,
      ticksPerSecond: Double(sysconf(CInt(_SC_CLK_TCK))),
      pageSize: Double(sysconf(CInt(_SC_PAGESIZE))))
  }

  /// Reads the kernel's files; nil when `stat` is not what `proc(5)` says.
  init?(
    stat: String, limits: String, systemStat: String, openFiles: Int?, ticksPerSecond: Double,
    pageSize: Double
  ) {
    // The second field is the command's name in parentheses, which may hold anything.
    guard let end = stat.lastIndex(of: ")") else { return nil }
    let fields = stat[stat.index(after: end)...].split(separator: " ").map(String.init)
    // Numbered in proc(5) from 1; the third is the first here.
    func field(_ number: Int) -> Double? {
      fields.indices.contains(number - 3) ? Double(fields[number - 3]) : nil
    }
    guard let user = field(14), let system = field(15), let started = field(22),
      let virtual = field(23), let pages = field(24), ticksPerSecond > 0
    else { return nil }
    cpuSeconds = (user + system) / ticksPerSecond
    virtualBytes = virtual
    residentBytes = pages * pageSize
    // Reading the folder opens it: that one is not ours.
    self.openFiles = openFiles.map { Double($0 - 1) }
    maxFiles = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
      .flatMap { $0.dropFirst(14).split(separator: " ").first }.flatMap { Double($0) }
    startSecond = systemStat.split(separator: "\n").first { $0.hasPrefix("btime ") }
      .flatMap { Double($0.dropFirst(6)) }.map { $0 + started / ticksPerSecond }
  }

  /// The figures as samples of the documented families.
  var samples: [(MetricFamily, Double)] {
    let all: [(MetricFamily, Double?)] = [
      (.processCPU, cpuSeconds), (.processOpenFiles, openFiles), (.processMaxFiles, maxFiles),
      (.processVirtualMemory, virtualBytes), (.processResidentMemory, residentBytes),
      (.processStart, startSecond),
    ]
    return all.compactMap { family, value in value.map { (family, $0) } }
  }

  private static func text(_ path: String) -> String? {
    (try? RegularFile.read(path)).map { String(decoding: $0, as: UTF8.self) }
  }
}
