import Testing

@testable import Sidecar

@Suite struct RedisLinksTests {
  @Test(
    "Redis is asked to hold a pop for whole seconds, never for none, which is without end",
    arguments: [
      (Duration.milliseconds(1), 1), (.milliseconds(999), 1), (.seconds(1), 1),
      (.milliseconds(1999), 1), (.seconds(5), 5),
    ])
  func popSeconds(timeout: Duration, seconds: Int) {
    #expect(RedisLinks.popSeconds(timeout) == Int64(seconds))
  }
}
