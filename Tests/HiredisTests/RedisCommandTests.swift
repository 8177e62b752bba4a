import Hiredis
import Testing

@Suite("Commands on the wire")
struct RedisCommandTests {
  @Test("a command is an array of bulk strings")
  func simple() throws {
    let wire = try RedisCommand("SET", "key", "value").encoded()
    #expect(
      String(decoding: wire, as: UTF8.self) == "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n")
  }

  @Test("arguments are binary-safe and may be empty")
  func binary() throws {
    let wire = try RedisCommand("SET", bytes: [[], [0, 13, 10, 255], []]).encoded()
    #expect(
      wire == Array("*4\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\n".utf8) + [0, 13, 10, 255]
        + Array("\r\n$0\r\n\r\n".utf8))
  }

  @Test("a command of the largest size is formatted and one byte more is refused")
  func largest() throws {
    let largest = [UInt8](repeating: 7, count: RedisCommand.maximumBytes - 1)
    #expect(try RedisCommand("X", bytes: [largest]).encoded().count > largest.count)
    #expect(throws: RedisCommandError.tooLarge(bytes: RedisCommand.maximumBytes + 1)) {
      try RedisCommand("XX", bytes: [largest]).encoded()
    }
  }

  @Test("too many arguments are refused")
  func tooMany() {
    let command = RedisCommand("X", bytes: Array(repeating: [], count: 65_536))
    #expect(throws: RedisCommandError.tooManyArguments(65_537)) { try command.encoded() }
  }

  @Test("no argument shows in a description or a dump")
  func redacted() {
    let command = RedisCommand("AUTH", "user", "hunter2")
    var dumped = ""
    dump(command, to: &dumped)
    #expect(command.description == "AUTH (2 arguments, 11 bytes)")
    #expect(!dumped.contains("hunter2") && !String(reflecting: command).contains("hunter2"))
  }
}
