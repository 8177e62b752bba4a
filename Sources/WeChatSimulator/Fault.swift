/// Something that goes wrong with a request between the caller and the simulated WeChat.
///
/// A fault says whether WeChat does its work (mints the token) and what becomes of the answer.
public struct Fault: Hashable, Sendable {
  /// What becomes of the answer.
  public enum Effect: Hashable, Sendable {
    /// The answer waits until `releaseHeld()`. When the work is not done at once, it is done then,
    /// even though the caller may be gone: a straggler.
    case hold
    /// The connection is closed without a word.
    case drop
    /// The connection is reset without a word: what was written to it may be lost unread.
    case reset
    /// WeChat answers that errcode, with the message of its table or the one given.
    case errorCode(Int, message: String?)
    /// The gateway answers with that status and a page of HTML.
    case status(Int)
    /// Status 200 with a page of HTML, as a captive portal does.
    case html
    /// Half of the body, then the end of the connection, though the head announced all of it.
    case truncate
    /// Status 200 and no body.
    case empty
    /// This body in place of WeChat's.
    case body(String)
    /// The bytes of the answer come one by one, this many milliseconds apart.
    case drip(interval: Int)
    /// The answer is late by this many milliseconds.
    case delay(Int)
    /// The caller is sent to another address (302).
    case redirect(String)
  }

  /// Whether WeChat does the work all the same.
  public var commits: Bool
  public var effect: Effect

  /// A fault of any kind.
  public init(commits: Bool, effect: Effect) {
    self.commits = commits
    self.effect = effect
  }

  /// The token is minted, and the answer waits for `releaseHeld()`.
  public static let mintThenHold = Fault(commits: true, effect: .hold)
  /// The token is minted, and the connection dies before the answer.
  public static let mintThenDrop = Fault(commits: true, effect: .drop)
  /// The connection dies before anything is minted.
  public static let dropBeforeMint = Fault(commits: false, effect: .drop)
  /// The token is minted, and the connection is reset before the answer.
  public static let mintThenReset = Fault(commits: true, effect: .reset)
  /// The connection is reset before anything is minted.
  public static let resetBeforeMint = Fault(commits: false, effect: .reset)
  /// The request waits for `releaseHeld()`, and only then is the token minted.
  public static let holdBeforeMint = Fault(commits: false, effect: .hold)
  /// The token is minted, and half of the answer arrives.
  public static let truncatedBody = Fault(commits: true, effect: .truncate)
  /// The token is minted, and an empty answer arrives.
  public static let emptyBody = Fault(commits: true, effect: .empty)
  /// Nothing is minted; a page of HTML with status 200.
  public static let html = Fault(commits: false, effect: .html)

  /// Nothing is minted; WeChat answers with that errcode.
  public static func errorCode(_ code: Int, message: String? = nil) -> Fault {
    Fault(commits: false, effect: .errorCode(code, message: message))
  }

  /// A gateway's error, before or after the mint.
  public static func status(_ status: Int, afterMint: Bool = false) -> Fault {
    Fault(commits: afterMint, effect: .status(status))
  }

  /// The token is minted, and this body arrives in place of the answer.
  public static func body(_ text: String, commits: Bool = true) -> Fault {
    Fault(commits: commits, effect: .body(text))
  }

  /// The token is minted, and the answer drips.
  public static func slowLoris(interval: Int) -> Fault {
    Fault(commits: true, effect: .drip(interval: interval))
  }
}

/// The endpoints that faults and counts tell apart.
public enum Endpoint: Hashable, Sendable {
  case any
  /// `/cgi-bin/token`
  case token
  /// `/cgi-bin/stable_token`
  case stableToken
  /// `/cgi-bin/openapi/quota/get`
  case quota
  /// Any of the calls that hand out a credential: `token`, `stable_token`, `gettoken`.
  case credentials
  case path(String)

  /// Whether a request to that path is one of these.
  public func covers(_ path: String) -> Bool {
    switch self {
    case .any: true
    case .token: path == "/cgi-bin/token"
    case .stableToken: path == "/cgi-bin/stable_token"
    case .quota: path == "/cgi-bin/openapi/quota/get"
    case .credentials:
      ["/cgi-bin/token", "/cgi-bin/stable_token", "/cgi-bin/gettoken"].contains(path)
    case .path(let wanted): path == wanted
    }
  }
}

/// A fault that is switched on.
struct ActiveFault: Sendable {
  let fault: Fault
  let endpoint: Endpoint
  let appID: String?
  /// The part of the requests that meet it.
  let share: Double
  /// How many requests it meets yet; nil until it is cleared.
  var remaining: Int?
}
