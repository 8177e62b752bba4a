import ArgumentParser
import FoundationEssentials
import Sidecar

/// `status`: what the running daemon knows, or, without one, what Redis tells.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is wrong and what the running daemon knows, as text or JSON.",
    discussion: """
      What is wrong comes first, with what to do about it; then accounts, the failing first; then \
      the replicas and this one's connections to Redis. With -o json it is /v1/status as it came. \
      When no daemon answers, the text is what Redis alone tells of locks, lives and replicas, and \
      says so. It ends with 0 whatever is wrong with tokens: `health` is for probes.
      """)

  @Option(name: [.customShort("o"), .long], help: "text or json.")
  var output: Output = .text

  @Flag(help: "Again every second, until SIGTERM, Ctrl-C or the reader's end.")
  var watch = false

  @Argument(parsing: .captureForPassthrough, help: "Settings as flags: --name value.")
  var flags: [String] = []

  enum Output: String, ExpressibleByArgument, CaseIterable {
    case text, json
  }

  func run() async throws {
    var flags = VerbFlags("status", flags)
    let isWatching = try flags.take("--watch") || watch
    var output = output
    if let text = try flags.takeValue(of: "--output", short: "-o") {
      guard let given = Output(rawValue: text) else {
        throw Failure(.usage, "wch-sidecar status: --output takes text or json, not \"\(text)\"")
      }
      output = given
    }
    let question = try DaemonQuestion("status", flags)
    guard isWatching else {
      let shown = try await show(question, output, flags, width: StandardOutput.width)
      return try StandardOutput.write(shown + "\n")
    }
    let view = WatchView()
    while true {
      let shown: String
      do throws(Failure) {
        shown = try await show(question, output, flags, width: view?.size.columns)
      } catch {
        // Who watches wants to see it come back.
        shown = error.message
      }
      if let view {
        try view.draw(shown)
      } else {
        try StandardOutput.write(shown + "\n")
      }
      try await Task.sleep(for: .seconds(1))
    }
  }

  private func show(
    _ question: DaemonQuestion, _ output: Output, _ flags: VerbFlags, width: Int?
  ) async throws(Failure) -> String {
    do throws(Failure) {
      let (content, body) = try await question.ask("/v1/status", as: StatusText.Content.self)
      return output == .json ? body : StatusText(content, width: width).text
    } catch {
      guard output == .text, error.code == .unreachable,
        let sight = try await Self.redisAlone(flags, unless: error)
      else { throw error }
      return error.message + "\n" + StatusText(sight, width: width).text
    }
  }

  /// What Redis tells.
  ///
  /// - Throws: `Failure` that says both, when it tells nothing either.
  private static func redisAlone(
    _ flags: VerbFlags, unless failure: Failure
  ) async throws(Failure) -> RedisSight? {
    do {
      let (settings, redis) = try Setup.redis(flags)
      return try await RedisSight.look(settings, redis, logger: Setup.silent())
    } catch let error as Failure {
      throw Failure(.unreachable, "\(failure.message)\nRedis was not asked: \(error.message)")
    } catch {
      throw Failure(
        .unreachable,
        "\(failure.message)\nnor does Redis tell anything: \(error)")
    }
  }
}
