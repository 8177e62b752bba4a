import ArgumentParser
import CHiredis
import Foundation
import Logging
import NIOPosix
import RedisClient

/// The client beside `redis-benchmark` and beside hiredis's own blocking calls, in turns in one
/// run, so that what counts is a ratio.
@main
struct ClientBenchmark: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compares the client with redis-benchmark and hiredis, as ratios.")

  @Option(help: "The port of a redis-server on 127.0.0.1.")
  var port: Int

  @Option(help: "Turns of each; the median counts.")
  var turns = 7

  @Option(help: "Commands of a turn with pipelines.")
  var commands = 640_000

  @Option(help: "Commands of a turn one at a time.")
  var trips = 20_000

  @Option(help: "Fail when the client's throughput is below that part of redis-benchmark's.")
  var least = 0.5

  /// Commands that are sent at a time.
  private static let depth = 64
  private static let key = "benchmark"

  func run() async throws {
    let configuration = RedisConfiguration(
      endpoint: RedisEndpoint(.tcp(host: "127.0.0.1", port: port)))
    let client = RedisClient(
      configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
      logger: Logger(label: "benchmark"))
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { await client.run() }
      defer { group.cancelAll() }
      _ = try await client.execute(
        RedisCommand("SET", Self.key, String(repeating: "x", count: 128)),
        deadline: .now + .seconds(10), waitForConnection: true)
      try await compare(client)
    }
  }

  private func compare(_ client: RedisClient) async throws {
    let hiredis = try Hiredis(port: port)
    var rates: (ours: [Double], hiredis: [Double], benchmark: [Double]) = ([], [], [])
    var times: (ours: [Double], hiredis: [Double]) = ([], [])
    for _ in 0..<turns {
      rates.ours.append(try await rate { try await pipelines(client) })
      rates.hiredis.append(try await rate { try hiredis.pipelines(commands, Self.depth, Self.key) })
      rates.benchmark.append(try benchmark())
      times.ours.append(try await seconds { try await roundTrips(client) } / Double(trips))
      times.hiredis.append(
        try await seconds { try hiredis.roundTrips(trips, Self.key) } / Double(trips))
    }
    let (ours, theirs) = (median(rates.ours), median(rates.benchmark))
    let (trip, blocking) = (median(times.ours), median(times.hiredis))
    func text(_ value: Double) -> String { String(format: "%.2f", value) }
    print(
      """
      pipelines of \(Self.depth) GETs on one connection: \(Int(ours)) a second, \
      \(text(ours / theirs)) of redis-benchmark's \(Int(theirs)), \
      \(text(ours / median(rates.hiredis))) of hiredis's \(Int(median(rates.hiredis)))
      one GET at a time: \(text(trip * 1e6)) µs, \(text(trip / blocking)) times hiredis's \
      \(text(blocking * 1e6)) µs
      """)
    guard ours / theirs >= least else { throw ExitCode.failure }
  }

  private func pipelines(_ client: RedisClient) async throws {
    let batch = Array(repeating: RedisCommand("GET", Self.key), count: Self.depth)
    for _ in 0..<commands / Self.depth {
      _ = try await client.execute(batch, deadline: .now + .seconds(10))
    }
  }

  private func roundTrips(_ client: RedisClient) async throws {
    for _ in 0..<trips {
      _ = try await client.execute(
        RedisCommand("GET", Self.key), deadline: .now + .seconds(10))
    }
  }

  /// What `redis-benchmark` reaches with pipelines as deep on one connection, in commands a second.
  private func benchmark() throws -> Double {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [
      "redis-benchmark", "-p", "\(port)", "-c", "1", "-P", "\(Self.depth)", "-n", "\(commands)",
      "--csv", "GET", Self.key,
    ]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let row = text.split(separator: "\n").last?.split(separator: ",") ?? []
    guard row.count > 1, let rate = Double(row[1].filter { $0 != "\"" }) else {
      throw ValidationError("redis-benchmark printed no rate: \(text)")
    }
    return rate
  }

  private func rate(_ body: () async throws -> Void) async throws -> Double {
    Double(commands) / (try await seconds(body))
  }

  private func seconds(_ body: () async throws -> Void) async throws -> Double {
    let start = ContinuousClock.now
    try await body()
    return start.duration(to: .now) / .seconds(1)
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// hiredis's own blocking API.
@safe private final class Hiredis {
  private let context: UnsafeMutablePointer<redisContext>

  struct Failure: Error { let what: String }

  init(port: Int) throws {
    guard let context = unsafe redisConnect("127.0.0.1", CInt(port)),
      unsafe context.pointee.err == 0
    else { throw Failure(what: "hiredis cannot connect to \(port)") }
    unsafe self.context = unsafe context
  }

  deinit { unsafe redisFree(context) }

  func pipelines(_ commands: Int, _ depth: Int, _ key: String) throws {
    for _ in 0..<commands / depth {
      for _ in 0..<depth { append(key) }
      for _ in 0..<depth { try take() }
    }
  }

  func roundTrips(_ count: Int, _ key: String) throws {
    for _ in 0..<count {
      append(key)
      try take()
    }
  }

  private func append(_ key: String) {
    unsafe "GET".withCString { get in
      unsafe key.withCString { key in
        var words: [UnsafePointer<CChar>?] = unsafe [get, key]
        var lengths = unsafe [3, strlen(key)]
        _ = unsafe redisAppendCommandArgv(context, 2, &words, &lengths)
      }
    }
  }

  private func take() throws {
    var reply: UnsafeMutableRawPointer?
    guard unsafe redisGetReply(context, &reply) == REDIS_OK else {
      throw Failure(what: "hiredis got no reply")
    }
    unsafe freeReplyObject(reply)
  }
}
