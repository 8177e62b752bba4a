/// Text of somebody else's in which secrets may stand, as it may be logged.
///
/// A secret is found whole and in pieces, also where it is broken into lines: each run of as many
/// bytes as `piece` that stand in it one after the other is masked, whatever blanks are between
/// them. Encoded in another way it is not found.
package enum MaskedText {
  /// So many bytes of a secret in a row are no chance.
  static let piece = 8
  private static let mask = Array("<token>".utf8)

  /// - Parameters:
  ///   - bytes: more than is shown, so that what is cut off is masked as well.
  ///   - longest: bytes of the text; more is cut.
  package static func text(
    _ bytes: [UInt8], without secrets: [String], longest: Int
  ) -> String {
    // Blanks and what no terminal shows break no secret.
    let solid = bytes.indices.filter { bytes[$0] > 0x20 && bytes[$0] != 0x7f }
    var isSecret = [Bool](repeating: false, count: bytes.count)
    for secret in secrets where !secret.isEmpty {
      let secret = Array(secret.utf8)
      let length = min(piece, secret.count)
      let pieces = Set((0...(secret.count - length)).map { Array(secret[$0..<($0 + length)]) })
      guard solid.count >= length else { continue }
      for start in 0...(solid.count - length) {
        let places = solid[start..<(start + length)]
        guard pieces.contains(places.map { bytes[$0] }), let last = places.last else { continue }
        for place in solid[start]...last { isSecret[place] = true }
      }
    }
    var shown: [UInt8] = []
    for (place, byte) in bytes.enumerated() {
      if !isSecret[place] {
        shown.append(byte)
      } else if place == 0 || !isSecret[place - 1] {
        shown += mask
      }
    }
    while let last = shown.last, last == 0x0a || last == 0x0d || last == 0x20 { shown.removeLast() }
    let end = Array("…".utf8)
    guard shown.count > longest else { return String(decoding: shown, as: UTF8.self) }
    return String(decoding: shown.prefix(longest - end.count) + end, as: UTF8.self)
  }
}
