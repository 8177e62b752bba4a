import Hiredis

/// Parses mutated replies, whole and in pieces, and compares.
func codecContradiction(seed: UInt64) -> String? {
  var random = SeededGenerator(seed: seed)
  let replies = (0..<Int.random(in: 1...3, using: &random)).map { _ in
    randomReply(depth: 0, using: &random)
  }
  let valid = replies.flatMap { wire($0) }
  var bytes = valid
  for _ in 0..<Int.random(in: 0...3, using: &random) { mutate(&bytes, using: &random) }

  let whole = outcome(of: [bytes[...]])
  let split = outcome(of: pieces(of: bytes, using: &random))
  // In which words a stream is refused may depend on how it was cut; what it yields may not.
  if whole.replies != split.replies || (whole.error == nil) != (split.error == nil) {
    return "whole \(whole), in pieces \(split)"
  }
  return bytes == valid && whole.replies != replies ? "\(replies) became \(whole)" : nil
}

private func outcome(of pieces: [ArraySlice<UInt8>]) -> (replies: [RedisReply], error: ReplyError?)
{
  let parser = ReplyParser()
  var replies: [RedisReply] = []
  do throws(ReplyError) {
    for piece in pieces { try parser.feed(Array(piece).span) { replies.append($0) } }
    return (replies, nil)
  } catch {
    return (replies, error)
  }
}

private func pieces(
  of bytes: [UInt8], using random: inout SeededGenerator
) -> [ArraySlice<UInt8>] {
  var pieces: [ArraySlice<UInt8>] = []
  var start = 0
  while start < bytes.count {
    let end = min(bytes.count, start + Int.random(in: 1...9, using: &random))
    pieces.append(bytes[start..<end])
    start = end
  }
  return pieces
}

private func randomReply(depth: Int, using random: inout SeededGenerator) -> RedisReply {
  switch Int.random(in: 0...(depth < 3 ? 7 : 5), using: &random) {
  case 0: .status("OK")
  case 1: .error(RedisServerError("ERR no"))
  case 2: .integer(Int64(bitPattern: random.next()))
  case 3: .null
  case 4, 5:
    .bulk(
      (0..<Int.random(in: 0...20, using: &random)).map { _ in .random(in: 0...255, using: &random) }
    )
  default:
    .array(
      (0..<Int.random(in: 0...4, using: &random)).map { _ in
        randomReply(depth: depth + 1, using: &random)
      })
  }
}

private func wire(_ reply: RedisReply) -> [UInt8] {
  switch reply {
  case .status(let text): Array("+\(text)\r\n".utf8)
  case .error(let error): Array("-\(error.message)\r\n".utf8)
  case .integer(let value): Array(":\(value)\r\n".utf8)
  case .null: Array("$-1\r\n".utf8)
  case .bulk(let bytes): Array("$\(bytes.count)\r\n".utf8) + bytes + Array("\r\n".utf8)
  case .array(let elements): Array("*\(elements.count)\r\n".utf8) + elements.flatMap { wire($0) }
  }
}

private let nasty = [
  "\r\n", "\r", "\n", "*2147483647\r\n", "*4294967297\r\n", "$9223372036854775807\r\n", "$-1\r\n",
  "*-1\r\n", "*-2\r\n", "$00\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", ":\r\n", "+",
  "-",
  "%1\r\n", "_\r\n", ",inf\r\n", "#t\r\n", ">2\r\n", "~0\r\n", "(1\r\n",
  "=15\r\ntxt:Some string\r\n",
  "|1\r\n", "\0", "$1048577\r\n", "*16384\r\n", String(repeating: "1", count: 40),
]

private func mutate(_ bytes: inout [UInt8], using random: inout SeededGenerator) {
  let position = Int.random(in: 0...bytes.count, using: &random)
  switch Int.random(in: 0...4, using: &random) {
  case 0 where position < bytes.count: bytes[position] = .random(in: 0...255, using: &random)
  case 1 where position < bytes.count: bytes.remove(at: position)
  case 2: bytes.removeLast(bytes.count - position)
  case 3:
    bytes.insert(contentsOf: bytes[position...], at: Int.random(in: 0...position, using: &random))
  default:
    bytes.insert(contentsOf: Array(nasty.randomElement(using: &random)!.utf8), at: position)
  }
}
