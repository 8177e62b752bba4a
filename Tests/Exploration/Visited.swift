/// The marks of the states that were seen, each with the fewest faults that led there.
///
/// A table with open addresses over two arrays: 24 to 32 bytes a state.
struct Visited {
  private var slots: [UInt32]
  private var marks: [Mark] = []
  private var faults: [UInt8] = []

  init() { slots = Array(repeating: .max, count: 1 << 16) }

  var count: Int { marks.count }

  /// Enters a state; returns whether it is to be looked at: it is new, or more faults may follow
  /// than when it was seen before.
  mutating func enter(_ mark: Mark, faults used: Int) -> Bool {
    if marks.count * 2 > slots.count { grow() }
    var slot = Int(truncatingIfNeeded: mark.low) & (slots.count - 1)
    while slots[slot] != .max {
      let place = Int(slots[slot])
      if marks[place] == mark {
        guard faults[place] > used else { return false }
        faults[place] = UInt8(used)
        return true
      }
      slot = (slot + 1) & (slots.count - 1)
    }
    slots[slot] = UInt32(marks.count)
    marks.append(mark)
    faults.append(UInt8(used))
    return true
  }

  private mutating func grow() {
    let mask = slots.count * 2 - 1
    slots = Array(repeating: .max, count: mask + 1)
    for (place, mark) in marks.enumerated() {
      var slot = Int(truncatingIfNeeded: mark.low) & mask
      while slots[slot] != .max { slot = (slot + 1) & mask }
      slots[slot] = UInt32(place)
    }
  }
}
