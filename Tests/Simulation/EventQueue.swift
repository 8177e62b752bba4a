/// What is to happen, in the order of time and then of scheduling.
///
/// A binary heap of small keys over a slab of payloads: moving a key costs nothing much, and two
/// happenings of one instant keep the order in which they were scheduled.
struct EventQueue<Payload> {
  private struct Key {
    var time: Int64
    var order: UInt64
    var slot: Int

    func comes(before other: Key) -> Bool {
      time != other.time ? time < other.time : order < other.order
    }
  }

  private var heap: [Key] = []
  private var slab: [Payload?] = []
  private var free: [Int] = []
  private var scheduled: UInt64 = 0

  var isEmpty: Bool { heap.isEmpty }

  mutating func push(_ payload: Payload, at time: Int64) {
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
      slab[slot] = payload
    } else {
      slot = slab.count
      slab.append(payload)
    }
    scheduled += 1
    heap.append(Key(time: time, order: scheduled, slot: slot))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].comes(before: heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func pop() -> (time: Int64, payload: Payload)? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    guard let payload = slab[first.slot] else { return nil }
    slab[first.slot] = nil
    free.append(first.slot)
    return (first.time, payload)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      let left = parent * 2 + 1
      for child in left...(left + 1) where child < heap.count {
        if heap[child].comes(before: heap[least]) { least = child }
      }
      guard least != parent else { return }
      heap.swapAt(least, parent)
      parent = least
    }
  }
}
