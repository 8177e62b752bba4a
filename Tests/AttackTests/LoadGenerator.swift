import Foundation
import TestSupport

/// Debian's `wrk`: other people's clients, that ask as fast as they are answered.
final class LoadGenerator: Attackers {
  private let process: ChildProcess
  private let output: URL

  /// - Parameters:
  ///   - pipelining: how many requests each sends at once.
  ///   - span: after which it ends by itself, if it was not ended before.
  init(
    connections: Int, to port: Int, path: String = "/metrics", pipelining: Int = 1,
    for span: Duration, in directory: URL
  ) throws {
    output = directory.appendingPathComponent("wrk\(port).txt")
    var arguments = ["wrk", "-t1", "-c\(connections)", "-d\(span.components.seconds)s"]
    if pipelining > 1 {
      let script = directory.appendingPathComponent("pipeline\(port).lua")
      let text = """
        init = function(args)
          local requests = {}
          for i = 1, \(pipelining) do requests[i] = wrk.format("GET", "\(path)") end
          all = table.concat(requests)
        end
        request = function() return all end
        """
      try Data(text.utf8).write(to: script)
      arguments += ["-s", script.path]
    }
    arguments.append("http://127.0.0.1:\(port)\(path)")
    guard FileManager.default.createFile(atPath: output.path, contents: nil),
      let file = FileHandle(forWritingAtPath: output.path)
    else { throw SidecarProcess.Failure("\(output.path) cannot be written") }
    process = try ChildProcess(arguments, standardOutput: file.fileDescriptor)
  }

  var account: String {
    let text = (try? String(contentsOf: output, encoding: .utf8)) ?? ""
    let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let told = lines.filter {
      $0.hasPrefix("Requests/sec") || $0.hasPrefix("Non-2xx") || $0.hasPrefix("Socket errors")
    }
    return told.isEmpty ? "wrk" : told.joined(separator: ", ")
  }

  /// It tells its figures when it is interrupted.
  func end() async { process.end(SIGINT) }
}
