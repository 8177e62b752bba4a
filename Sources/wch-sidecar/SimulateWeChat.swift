import ArgumentParser
import Glibc
import NIOCore
import Sidecar
import WeChatSimulator

/// `simulate-wechat`: a WeChat to develop against, until SIGTERM.
struct SimulateWeChat: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate-wechat",
    abstract: "Run a simulated WeChat to develop and test against, until SIGTERM.",
    discussion: """
      It prints the addresses of the API and of the control API, by which faults, time and \
      accounts are changed while it runs. It checks no caller and so listens on loopback only. \
      Never give it a real AppSecret.
      """)

  @Option(help: "Where the API listens: host:port on loopback; port 0 takes a free one.")
  var listen = "127.0.0.1:0"
  @Option(help: "Where the control API listens: a port of the same host; else a free one.")
  var control: String?
  @Option(help: "The same seed draws the same tokens, lives and delays.")
  var seed: UInt64 = 1
  @Option(help: "The AppID of the account that there is from the start.")
  var appid = "wx0123456789abcdef"
  @Option(help: "Its AppSecret.")
  var secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
  @Option(help: "The life of a token in seconds, without a unit.")
  var life: Int64 = 7200
  @Option(help: "How long a replaced token goes on working, in seconds.")
  var grace: Int64 = 300

  /// WeChat itself promises nothing above two hours; more helps nobody.
  private static let longestLife: Int64 = 86_400

  func run() async throws {
    let (host, port) = try address(listen, flag: "--listen")
    let (controlHost, controlPort) =
      try control.map { try address($0, flag: "--control") } ?? (host, 0)
    guard host == controlHost else {
      throw Failure(
        .usage, "wch-sidecar: --control must name the host of --listen, which is \(host)")
    }
    guard (1...Self.longestLife).contains(life), (0...Self.longestLife).contains(grace) else {
      throw Failure(
        .usage, "wch-sidecar: --life and --grace take 1 to \(Self.longestLife) seconds")
    }
    let simulator = Simulator(seed: seed)
    var app = AppSettings(appID: appid, secret: secret)
    app.life = life * 1000
    app.grace = grace * 1000
    simulator.register(app)
    let server: SimulatorServer
    do {
      server = try await SimulatorServer.start(
        simulator, address: host, port: port, controlPort: controlPort)
    } catch {
      let places = [listen, control].compactMap(\.self).joined(separator: " and ")
      throw Failure(.failed, "wch-sidecar: cannot listen on \(places): \(Self.words(for: error))")
    }
    StandardError.write("The API of the simulated WeChat and its control API:")
    print("\(server.url)\n\(server.controlURL)")
    // Whoever started us reads the addresses from a pipe.
    fflush(nil)
    // A signal ends the process as `CEarlySignals` has it: nothing here outlives it.
    while true { try await Task.sleep(for: .seconds(3600)) }
  }

  /// Host and port of `127.0.0.1:8080`, `localhost:8080` or `[::1]:8080`.
  private func address(_ text: String, flag: String) throws -> (host: String, port: Int) {
    let colon = text.lastIndex(of: ":") ?? text.startIndex
    var host = text[..<colon]
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    if isBracketed { host = host.dropFirst().dropLast() }
    guard !host.isEmpty, host.contains(":") == isBracketed,
      let port = Int(text[colon...].dropFirst()),
      (0...65_535).contains(port)
    else {
      throw Failure(.usage, "wch-sidecar: \(flag) takes host:port, not \"\(text)\"")
    }
    guard isLoopback(String(host)) else {
      throw Failure(
        .usage,
        "wch-sidecar: \(flag) takes a loopback address, such as 127.0.0.1:\(port), "
          + "not \"\(text)\": whoever reaches the simulator rules it")
    }
    return (String(host), port)
  }

  /// What went wrong, without the names of functions.
  private static func words(for error: any Error) -> String {
    switch error {
    case let error as IOError: unsafe String(cString: strerror(error.errnoCode))
    case let error as SocketAddressError.UnknownHost: "the name \(error.host) is not known"
    default: "\(error)"
    }
  }

  private func isLoopback(_ host: String) -> Bool {
    if host == "localhost" { return true }
    // Numbers only, since a name such as 127.example.com may be anywhere.
    switch try? SocketAddress(ipAddress: host, port: 0) {
    case .v4: return host.hasPrefix("127.")
    case .v6(let address): return SocketAddress.v6(address).ipAddress == "::1"
    case .unixDomainSocket, nil: return false
    }
  }
}
