import FoundationEssentials
import NIOCore
import TokenCore

/// What is wrong with the body of a request to refresh.
struct RefreshBodyProblem: Error {
  let reason: String
}

/// The body of `POST /v1/refresh`.
enum RefreshBody {
  /// Longer tokens are none: WeChat's have some hundred characters, and may have 512.
  static let longestToken = 2048

  private struct Members: Decodable {
    var account: String?
    var rejected_token: String?
    var rejected_sha256: String?
    var force: Bool?
  }

  /// The names of all members.
  private struct Names: Decodable {
    struct Name: CodingKey {
      let stringValue: String
      var intValue: Int? { nil }
      init?(stringValue: String) { self.stringValue = stringValue }
      init?(intValue: Int) { nil }
    }

    let all: [String]
    init(from decoder: any Decoder) throws {
      all = try decoder.container(keyedBy: Name.self).allKeys.map(\.stringValue)
    }
  }

  private static let names: Set = ["account", "rejected_token", "rejected_sha256", "force"]

  /// Reads the body strictly: a request that is misunderstood would refresh nothing, silently.
  static func request(_ bytes: [UInt8]) throws(RefreshBodyProblem) -> RefreshRequest {
    let members: Members
    let areKnown: Bool
    do {
      members = try JSONDecoder().decode(Members.self, from: Data(bytes))
      areKnown = try JSONDecoder().decode(Names.self, from: Data(bytes)).all
        .allSatisfy(names.contains)
    } catch {
      throw RefreshBodyProblem(
        reason: "The body must be a JSON object such as {\"rejected_token\":\"…\"},"
          + " {\"rejected_sha256\":\"…\"} or {\"force\":true}, with an \"account\" if it is named.")
    }
    // With a slip in `account` another account's token would be replaced.
    guard areKnown else {
      throw RefreshBodyProblem(
        reason: "The body may have account, rejected_token, rejected_sha256 and force, and it has"
          + " something else.")
    }
    var account: CredentialID?
    if let name = members.account, !name.isEmpty {
      account = CredentialID(name)
      guard account != nil else {
        throw RefreshBodyProblem(
          reason: "An account's name has 1 to 64 letters, digits, `.`, `_`, `-`, and a ticket's is"
            + " NAME/jsapi_ticket, NAME/wx_card_ticket or NAME/agent_config_ticket.")
      }
    }
    if let token = members.rejected_token {
      guard isVisibleASCII(token), (1...longestToken).contains(token.utf8.count) else {
        throw RefreshBodyProblem(reason: "rejected_token is not a token.")
      }
    }
    if let digest = members.rejected_sha256 {
      guard digest.utf8.count == 64, digest.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
        throw RefreshBodyProblem(reason: "rejected_sha256 must have 64 hexadecimal digits.")
      }
    }
    switch (members.rejected_token, members.rejected_sha256, members.force ?? false) {
    case (_?, _?, _):
      throw RefreshBodyProblem(
        reason: "Give rejected_token or rejected_sha256, and not both.")
    case (_, _, true): return RefreshRequest(account: account ?? .unnamed, reason: .force)
    case (let token?, nil, false):
      return RefreshRequest(account: account, reason: .rejected(AccessToken(token)))
    case (nil, let digest?, false):
      return RefreshRequest(account: account, reason: .rejectedSHA256(digest.lowercased()))
    case (nil, nil, false):
      throw RefreshBodyProblem(
        reason: "Give the token that failed as rejected_token, its SHA-256 as rejected_sha256,"
          + " or force.")
    }
  }
}

// The names below are those of the JSON that is sent.
