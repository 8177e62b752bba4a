import Glibc

/// The terminal while the live view owns it: keys as they are typed, and the alternate screen.
final class DemoTerminal {
  struct Failure: Error {}

  static var isUsable: Bool { false }
  static func open() throws -> DemoTerminal { DemoTerminal() }
  func close() {}
  func keys() -> [Character] { [] }
  func draw(_ picture: DemoPicture, _ news: [DemoNews]) {}
}
