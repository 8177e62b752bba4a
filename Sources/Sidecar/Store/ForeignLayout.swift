package import TokenCore

/// How other software keeps WeChat's credentials in Redis: which keys, and what they hold.
///
/// They are outputs only: never read as truth, repaired like our own two keys.
package struct ForeignLayout: Sendable {
  /// The account whose credentials are written.
  package struct Subject: Hashable, Sendable {
    /// Of WeCom the corp id.
    package var appID: String
    package var api: API
    /// Before each key, as the software is configured.
    package var prefix: String
    /// What the software is configured with in place of the AppSecret; empty when it does not
    /// matter.
    package var placeholder: String

    package init(appID: String, api: API, prefix: String, placeholder: String) {
      self.appID = appID
      self.api = api
      self.prefix = prefix
      self.placeholder = placeholder
    }
  }

  /// What it is chosen by.
  package let name: String
  /// The prefix of whoever configures none; nil where there is no prefix to configure.
  package let usualPrefix: String?
  /// Whether its keys depend on the secret that the software is configured with, so that it needs
  /// a placeholder for that.
  package let needsPlaceholder: Bool
  /// What makes the software fetch for itself, and what prevents that.
  package let switchOff: String
  /// The outputs of one kind of credential; empty for a kind that the software does not know.
  let outputs: @Sendable (CredentialID.Kind, Subject) -> [Output]

  /// A layout as an account asks for it.
  package struct Choice: Sendable, CustomStringConvertible {
    package let layout: ForeignLayout
    package let subject: Subject

    package init(layout: ForeignLayout, subject: Subject) {
      self.layout = layout
      self.subject = subject
    }

    /// What is published of a kind of credential.
    package func outputs(of kind: CredentialID.Kind) -> [Output] { layout.outputs(kind, subject) }

    /// As it is written in settings, less the placeholder: it may be more of a secret than it
    /// should be.
    package var description: String {
      let prefix = layout.usualPrefix == nil ? "" : ":\(subject.prefix)"
      return layout.name + prefix + (subject.placeholder.isEmpty ? "" : "#...")
    }
  }
}

extension Spelling {
  /// A string of JSON.
  static let json = Spelling([.text("\""), .jsonToken, .text("\"")])
  /// A string as PHP serializes it.
  static let php = Spelling([.text("s:"), .count, .text(":\""), .token, .text("\";")])
}

extension Output {
  init(_ name: String, _ spelling: Spelling = .plain) {
    self.init(key: .other(name), content: .token(spelling))
  }

  /// The Unix second at which the stated life ends.
  init(endAt name: String) {
    self.init(key: .other(name), content: .clientExpiry(margin: .zero))
  }
}
