import ArgumentParser
import Foundation
import Sweeps

/// Runs sweeps of any length and watches the memory meanwhile.
@main
struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Gives hostile inputs to the parsers and checks what must hold of every one.")

  @Argument(help: "Which: codec, urls, settings; all when none is given.")
  var sweeps: [Sweep] = []

  @Option(help: "The first seed.")
  var seed: UInt64 = 1

  @Option(help: "How many seeds each.")
  var count: UInt64 = 100_000

  @Option(help: "MiB that a thousand inputs may take at most, and that may be kept at the end.")
  var growth = 32

  /// Inputs between two looks at the memory.
  private static let block: UInt64 = 1000
  /// Inputs after which caches and pools have the size that they keep.
  private static let warmUp: UInt64 = 20_000

  func validate() throws {
    guard count > 0, growth > 0 else {
      throw ValidationError("count and growth must be above zero")
    }
  }

  func run() throws {
    var failed = false
    for sweep in sweeps.isEmpty ? Sweep.allCases : sweeps {
      let start = ContinuousClock.now
      var contradictions: [String] = []
      var highest = 0
      var settled: Int?
      var tried: UInt64 = 0
      while tried < count, contradictions.count < 10 {
        let last = min(count, tried + Self.block)
        let before = try Memory.resident()
        Memory.forgetPeak()
        contradictions += sweep.contradictions(of: (seed + tried)...(seed + last - 1))
        highest = max(highest, try Memory.peak() - before)
        tried = last
        if settled == nil, tried >= Self.warmUp { settled = try Memory.resident() }
      }
      let grown = try Memory.resident() - (settled ?? Memory.resident())
      let seconds = (ContinuousClock.now - start).components.seconds
      print(
        "\(sweep.rawValue): \(tried) inputs from seed \(seed), \(contradictions.count)"
          + " contradictions, at most \(highest) KiB in a thousand inputs,"
          + " \(grown) KiB more at the end, \(seconds) s")
      for contradiction in contradictions { print("  \(contradiction)") }
      let isEndless = max(highest, grown) > growth << 10
      if isEndless { print("  more than \(growth) MiB") }
      failed = failed || isEndless || !contradictions.isEmpty
      fflush(nil)
    }
    if failed { throw ExitCode.failure }
  }
}

extension Sweep: ExpressibleByArgument {}

/// What the kernel says of this process, in KiB.
private enum Memory {
  static func resident() throws -> Int { try status("VmRSS") }

  /// The most that was resident since `forgetPeak`.
  static func peak() throws -> Int { try status("VmHWM") }

  static func forgetPeak() {
    // 5 is the kernel's word for it (proc(5)); where it may not be written, the peak is that of
    // the whole process, and the limit only stricter.
    try? Data("5".utf8).write(to: URL(filePath: "/proc/self/clear_refs"))
  }

  private static func status(_ field: String) throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
    guard let number = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first,
      let value = Int(number)
    else { throw ValidationError("the kernel does not tell \(field)") }
    return value
  }
}
