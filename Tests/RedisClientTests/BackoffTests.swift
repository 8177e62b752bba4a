import RedisClient
import Testing

@Suite("Waits between attempts")
struct BackoffTests {
  /// The greatest or the smallest jitter.
  private struct Extreme: RandomNumberGenerator {
    let bits: UInt64
    func next() -> UInt64 { bits }
  }

  @Test("waits double from 50 ms to 2 s, and jitter only shortens them, at most by half")
  func doubling() {
    var longest = Backoff()
    var shortest = Backoff()
    var most = Extreme(bits: .max)
    var least = Extreme(bits: 0)
    for expected in [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000] {
      let long = longest.delay(using: &most)
      #expect(long <= .milliseconds(expected) && long > .milliseconds(expected) * 0.99)
      #expect(shortest.delay(using: &least) == .milliseconds(expected) / 2)
    }
    longest.reset()
    #expect(longest.delay(using: &most) <= .milliseconds(50))
    longest.jumpToCap()
    #expect(longest.delay(using: &most) > .milliseconds(1900))
  }
}
