/// True time in the simulated world, in nanoseconds; no replica can see it.
typealias Instant = Int64

let millisecond: Int64 = 1_000_000
let second: Int64 = 1_000_000_000
let minute: Int64 = 60 * second
let hour: Int64 = 60 * minute

/// A clock that runs a little too fast or too slow, from an arbitrary origin.
struct SkewedClock {
  /// Grows less while the clock stands.
  var offset: Int64
  /// Parts in a million by which the clock is fast.
  let partsPerMillion: Int64

  func local(at instant: Instant) -> Int64 {
    offset + instant + instant / 1_000_000 * partsPerMillion
      + instant % 1_000_000 * partsPerMillion / 1_000_000
  }

  /// The first instant at which the clock shows this or more.
  func instant(showing local: Int64) -> Instant {
    let scale = 1_000_000 + partsPerMillion
    let shown = max(local - offset, 0)
    var instant = shown / scale * 1_000_000 + shown % scale * 1_000_000 / scale
    while self.local(at: instant) < local { instant += 1 }
    return instant
  }
}
