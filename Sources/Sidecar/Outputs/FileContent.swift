import TokenCore

/// What is in a file, byte for byte.
enum FileContent {
  /// - Parameter parts: the access token first, then tickets.
  static func bytes(_ form: FileTarget.Form, _ parts: [Errand.Part]) -> [UInt8] {
    guard let first = parts.first else { return [] }
    let token = first.token.revealed
    let text =
      switch form {
      case .json: json(first, tickets: parts.dropFirst())
      case .raw: token
      case .env:
        """
        WCH_ACCESS_TOKEN=\(shellWord(token))
        WCH_EXPIRES_IN=\(first.expiresAt)

        """
      // The script's own length is what WeChat's sample cuts off, with nothing behind it.
      case .php:
        "<?php exit();?>"
          + #"{"access_token":\#(JSONText.string(token)),"expire_time":\#(first.expiresAt)}"#
      }
    return Array(text.utf8)
  }

  private static func json(_ token: Errand.Part, tickets: ArraySlice<Errand.Part>) -> String {
    let members = tickets.compactMap { part in
      part.credential.kind.ticketName.map { name in
        #""\#(name)":{"ticket":\#(JSONText.string(part.token.revealed)),"#
          + #""expires_time":\#(part.expiresAt)}"#
      }
    }
    return #"{"access_token":\#(JSONText.string(token.token.revealed)),"#
      + #""expires_time":\#(token.expiresAt),"tickets":{\#(members.joined(separator: ","))}}"#
      + "\n"
  }

  /// WeChat's tokens need no quotes; what is not like them gets some.
  private static func shellWord(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"),
        UInt8(ascii: "="):
        true
      default: false
      }
    }
    return isPlain ? text : "'" + text.replacing("'", with: #"'\''"#) + "'"
  }
}
