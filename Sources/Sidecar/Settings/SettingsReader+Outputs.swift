import TokenCore

/// Which other software's keys are written beside our own.
extension SettingsReader {
  /// Who asks for outputs.
  struct Publisher {
    let appID: String
    let secret: SecretSource
    let api: API
    let kinds: [CredentialID.Kind]
  }

  /// The layouts of a list of `NAME`, `NAME:PREFIX` and `NAME:PREFIX#PLACEHOLDER`; what cannot be
  /// is a problem.
  mutating func layouts(
    _ given: Given?, of publisher: Publisher, shownAs name: String
  ) -> [ForeignLayout.Choice] {
    guard let given else { return [] }
    var choices: [ForeignLayout.Choice] = []
    for item in given.text.split(separator: ",", omittingEmptySubsequences: false) {
      let item = trimmed(item)
      do throws(OutputProblem) {
        let choice = try Self.choice(item, of: publisher)
        choices.append(choice)
      } catch {
        report(given.origin, error.text)
      }
    }
    let outputs = publisher.kinds.map { kind in choices.flatMap { $0.outputs(of: kind) }.count }
    if let most = outputs.max(), most > OutputKeys.most - Self.own {
      report(
        given.origin,
        "asks for \(most) keys of one credential: \(OutputKeys.most - Self.own) are the most")
    }
    show(name, choices.map(\.description).joined(separator: ","), given.origin)
    return choices
  }

  /// The credential and its expiry.
  private static let own = 2

  private struct OutputProblem: Error {
    let text: String
    init(_ text: String) { self.text = text }
  }

  private static func choice(
    _ item: String, of publisher: Publisher
  ) throws(OutputProblem) -> ForeignLayout.Choice {
    let (rest, placeholder) = split(item, at: "#")
    let (name, prefix) = split(rest, at: ":")
    guard let layout = ForeignLayout.all.first(where: { $0.name == name }) else {
      let nearest = nearestName(to: name, among: ForeignLayout.all.map(\.name)) ?? "none"
      throw OutputProblem("\(quoted(name)) is no layout; the nearest known one is \(nearest)")
    }
    if let prefix {
      guard layout.usualPrefix != nil else {
        let right = layout.needsPlaceholder ? "\(name)#\(placeholder ?? "PLACEHOLDER")" : name
        throw OutputProblem("\(quoted(name)) has no prefix: write \(quoted(right))")
      }
      guard prefix.utf8.allSatisfy(isPlain) else {
        throw OutputProblem(
          "the prefix \(quoted(prefix)) of \(quoted(name)) must be visible ASCII without braces:"
            + " the software's own keys have their places for those")
      }
    }
    if layout.needsPlaceholder {
      guard let placeholder, !placeholder.isEmpty, placeholder.utf8.allSatisfy(isPlain) else {
        throw OutputProblem(
          "the keys of \(quoted(name)) are made from the secret that it is configured with:"
            + " configure it with a placeholder, and write that as"
            + " \(quoted(rest + "#PLACEHOLDER"))")
      }
      guard placeholder != publisher.secret.current().revealed else {
        throw OutputProblem(
          "the placeholder of \(quoted(name)) is the AppSecret, which would stand in a key's name:"
            + " configure the software with another word")
      }
    } else if placeholder != nil {
      throw OutputProblem("\(quoted(name)) needs no placeholder: leave out what follows #")
    }
    let choice = ForeignLayout.Choice(
      layout: layout,
      subject: .init(
        appID: publisher.appID, api: publisher.api, prefix: prefix ?? layout.usualPrefix ?? "",
        placeholder: placeholder ?? ""))
    guard publisher.kinds.contains(where: { !choice.outputs(of: $0).isEmpty }) else {
      throw OutputProblem(
        "\(quoted(name)) has no keys for an account of the api \(publisher.api.rawValue)")
    }
    return choice
  }

  /// What stands before and after the first such character; nil when there is none.
  private static func split(_ text: String, at mark: Character) -> (String, String?) {
    guard let place = text.firstIndex(of: mark) else { return (text, nil) }
    return (String(text[..<place]), String(text[text.index(after: place)...]))
  }

  private static func isPlain(_ byte: UInt8) -> Bool {
    (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "{") && byte != UInt8(ascii: "}")
  }

  /// No two outputs may be one key, nor one of ours.
  mutating func refuseSharedKeys(_ accounts: [Settings.Account], prefix: String) {
    var owners: [String: String] = [:]
    for account in accounts {
      for kind in account.credentials.map(\.kind) {
        for choice in account.outputs {
          for case .other(let key) in choice.outputs(of: kind).map(\.key) {
            let owner = "\(choice.layout.name) of account \(account.name)"
            if key.hasPrefix(prefix), !prefix.isEmpty {
              report(
                .combination,
                "\(owner) would write \(quoted(key)), which begins with this program's own prefix")
            } else if let other = owners.updateValue(owner, forKey: key) {
              report(.combination, "\(other) and \(owner) would both write \(quoted(key))")
            }
          }
        }
      }
    }
  }
}

extension SettingsReader.Publisher {
  /// An account whose outputs are read now.
  init(_ account: Settings.Account) {
    appID = account.appID
    secret = account.secret
    api = account.api
    kinds = account.credentials.map(\.kind)
  }
}
