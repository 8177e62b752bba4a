// Asks the reader what its standard input says, a word a line; by a socket of its own.
import Foundation

/// One connection; commands go one after the other.
actor Connection {
  private let file: UnsafeMutablePointer<FILE>

  init(host: String, port: String) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port)!.bigEndian
    address.sin_addr.s_addr = inet_addr(host)
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    precondition(connected == 0)
    file = fdopen(descriptor, "r+")
  }

  func ask(_ words: [String]) -> [String?] {
    fputs(words.joined(separator: " ") + "\r\n", file)
    fflush(file)
    let first = line()
    guard first.hasPrefix("*") else { return [String(first.dropFirst())] }
    return (0..<Int(first.dropFirst())!).map { _ in line() == "$-1" ? nil : line() }
  }

  private func line() -> String {
    var text: UnsafeMutablePointer<CChar>?
    var size = 0
    let count = getline(&text, &size, file)
    defer { free(text) }
    return count > 0 ? String(cString: text!).trimmingCharacters(in: .whitespacesAndNewlines) : ""
  }
}

@main struct Drive {
  static func main() async throws {
    let connection = Connection(host: CommandLine.arguments[1], port: CommandLine.arguments[2])
    let reader = WeChatToken { await connection.ask($0) }
    var last = ""
    while let word = readLine() {
      last = try await (word == "get" ? reader.get() : reader.report(last)) ?? "-"
      print(last)
      fflush(nil)
    }
  }
}
