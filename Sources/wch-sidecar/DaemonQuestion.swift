import ArgumentParser
import FoundationEssentials
import Sidecar
import TokenCore

/// The daemon's answers, for the verbs that ask it.
struct DaemonQuestion {
  private let verb: String
  private let client: DaemonClient

  /// For the daemon at the address that the settings tell; nothing else of them matters.
  init<Asker: SettingsVerb>(_ asker: Asker) throws {
    verb = Asker._commandName
    do throws(SettingsError) {
      let address = try DaemonAddress.load(
        arguments: asker.flags, otherFlags: asker.names,
        environment: ProcessInfo.processInfo.environment, needsBearer: Asker.isGuarded)
      for warning in address.warnings { StandardError.write("warning: \(warning)") }
      client = DaemonClient(address)
    } catch {
      throw Failure(.misconfigured, "\(error)")
    }
  }

  /// What a success holds, and its body as it came.
  ///
  /// - Parameter limit: for the whole question; nil takes the client's own.
  /// - Throws: `Failure` with the daemon's own reason otherwise.
  func ask<Content: Decodable>(
    _ path: String, method: String = "GET", body: String? = nil, within limit: Duration? = nil,
    as: Content.Type = Content.self
  ) async throws(Failure) -> (content: Content, body: String) {
    let answer: DaemonClient.Answer
    do throws(DaemonClient.Unreachable) {
      answer = try await client.request(path, method: method, body: body, within: limit)
    } catch {
      throw Failure(.unreachable, "wch-sidecar \(verb): \(error)")
    }
    guard answer.status == 200 else { throw refusal(answer) }
    guard let content = try? JSONDecoder().decode(Content.self, from: Data(answer.body.utf8))
    else { throw stranger(answer) }
    return (content, answer.body)
  }

  /// Asks for a check, and is content with any that passes.
  func ask(check path: String, within limit: Duration? = nil) async throws(Failure) {
    struct Passed: Decodable {
      var status: String
      var detail: String
    }
    _ = try await ask(path, within: limit, as: Passed.self)
  }

  /// Asks for the check of readiness, of one account or as `WCH_READY` says.
  func ready(_ account: String?, within limit: Duration? = nil) async throws(Failure) {
    try await ask(check: "/readyz" + (account.map { "?account=\($0)" } ?? ""), within: limit)
  }

  /// Why the daemon refuses.
  private func refusal(_ answer: DaemonClient.Answer) -> Failure {
    struct Refusal: Decodable {
      struct Condition: Decodable {
        var sentence: String
        var remedy: String
      }
      var detail: String?
      var outcome: String?
      var reason: String?
      var retry_after: Int64?
      var errcode: Int?
      var conditions: [Condition]?
    }
    guard let refusal = try? JSONDecoder().decode(Refusal.self, from: Data(answer.body.utf8)),
      let text = refusal.detail ?? refusal.reason
    else { return stranger(answer) }
    let outcome = refusal.outcome.map { "\($0): " } ?? ""
    let wait = refusal.retry_after.map { " (again in \($0) s)" } ?? ""
    let help = answer.status == 404 ? " (name one with --account)" : ""
    var lines = ["wch-sidecar \(verb): \(outcome)\(text)\(wait)\(help)"]
    for condition in refusal.conditions ?? [] {
      let remedy = "  what to do: \(condition.remedy)"
      // A token is missing for a reason that is a condition, too: one of the two tells it.
      guard !lines.contains(remedy) else { continue }
      if condition.sentence != text { lines.append("  \(condition.sentence)") }
      lines.append(remedy)
    }
    let isRefused = refusal.errcode.map { WeChatError.row($0).needsPeople } ?? false
    return Failure(isRefused ? .refused : .failed, lines.joined(separator: "\n"))
  }

  /// Another program has the address.
  private func stranger(_ answer: DaemonClient.Answer) -> Failure {
    Failure(
      .unreachable,
      "wch-sidecar \(verb): what answers at \(client.listen) (with status \(answer.status)) is"
        + " not wch-sidecar, or another version of it; give the httpListen of `wch-sidecar run`")
  }
}

extension WeChatError {
  /// Whether WeChat refuses the credentials, the account, the address or more calls today, until
  /// people act or the day is over.
  fileprivate var needsPeople: Bool {
    switch category {
    case .configuration, .operator, .quota: true
    case .transient, .rate: false
    }
  }
}
