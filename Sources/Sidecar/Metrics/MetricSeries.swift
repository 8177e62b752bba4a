import CoreMetrics
import Synchronization

/// A value that only grows.
package final class CounterSeries: CounterHandler, FloatingPointCounterHandler {
  /// Protects the sum.
  private let sum = Mutex(0.0)

  package func increment(by amount: Int64) { increment(by: Double(amount)) }

  /// Adds what is finite and not negative; a counter never shrinks.
  package func increment(by amount: Double) {
    guard amount.isFinite, amount >= 0 else { return }
    sum.withLock { $0 += amount }
  }

  package func reset() { sum.withLock { $0 = 0 } }

  var value: Double { sum.withLock { $0 } }
}

/// A value that goes up and down.
package final class GaugeSeries: MeterHandler, RecorderHandler {
  /// Protects the value.
  private let current = Mutex(0.0)

  package func set(_ value: Int64) { set(Double(value)) }
  package func set(_ value: Double) { current.withLock { $0 = value } }
  package func record(_ value: Int64) { set(Double(value)) }
  package func record(_ value: Double) { set(value) }
  package func increment(by amount: Double) { current.withLock { $0 += amount } }
  package func decrement(by amount: Double) { current.withLock { $0 -= amount } }

  var value: Double { current.withLock { $0 } }
}

/// Observations counted by size.
package final class HistogramSeries: RecorderHandler, TimerHandler {
  /// What was observed so far.
  struct Snapshot: Sendable {
    /// As many as there are bounds: observations at or below each, not cumulative.
    var counts: [UInt64]
    var total: UInt64 = 0
    var sum = 0.0
  }

  let buckets: [Double]
  /// Protects counts and sum together: a reader never sees one without the other.
  private let state: Mutex<Snapshot>

  init(buckets: [Double]) {
    self.buckets = buckets
    state = Mutex(Snapshot(counts: Array(repeating: 0, count: buckets.count)))
  }

  package func record(_ value: Int64) { record(Double(value)) }

  package func record(_ value: Double) {
    guard value.isFinite else { return }
    let bucket = buckets.firstIndex { value <= $0 }
    state.withLock { state in
      if let bucket { state.counts[bucket] += 1 }
      state.total += 1
      state.sum += value
    }
  }

  package func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

  var snapshot: Snapshot { state.withLock { $0 } }
}
