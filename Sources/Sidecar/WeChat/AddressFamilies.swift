import Dialing
import TokenCore

/// Over which family of addresses each account asks each host.
///
/// An account's IP list at WeChat may hold only one of the two addresses that this machine is seen
/// with: 40164 over the one has the other tried, once, before people must act.
struct AddressFamilies {
  /// An account at a host.
  struct Way: Hashable {
    var account: AccountName
    var host: BaseURL
  }

  private enum State: Hashable {
    /// The other family is asked next. Followed by `preferring`, or by nothing known.
    case trying(Dialer.Family, refused: String)
    /// The other family worked. Followed by `trying`, or by nothing known.
    case preferring(Dialer.Family)
  }

  /// What is to be told about an answer.
  enum Finding: Hashable {
    /// This address was refused; the next attempt goes over the other family.
    case tryOther(refused: String)
    /// Both were refused.
    case bothRefused(String)
    /// The family works where the other one's address was refused.
    case works(refused: String)
  }

  private var states: [Way: State] = [:]

  /// The family to ask over; `any` when nothing speaks for one.
  func family(_ way: Way) -> Dialer.Family {
    switch states[way] {
    case .trying(let family, _), .preferring(let family): family
    case nil: .any
    }
  }

  /// The address was refused over a family, and another one is there or not.
  mutating func refused(
    _ way: Way, over family: Dialer.Family, address: String, hasOther: Bool
  ) -> Finding? {
    if case .trying(family, let refused) = states[way] {
      states[way] = nil
      return .bothRefused(refused)
    }
    guard hasOther else { return nil }
    states[way] = .trying(family.other, refused: address)
    return .tryOther(refused: address)
  }

  /// WeChat answered over a family, and did not refuse the address.
  mutating func accepted(_ way: Way, over family: Dialer.Family) -> Finding? {
    guard case .trying(family, let refused) = states[way] else { return nil }
    states[way] = .preferring(family)
    return .works(refused: refused)
  }

  /// No connection came about over the family that was preferred: no family is, any more.
  mutating func failed(_ way: Way) { states[way] = nil }
}

extension Dialer.Family {
  /// IPv6 for IPv4, and the other way round.
  var other: Self {
    switch self {
    case .ipv4: .ipv6
    case .ipv6: .ipv4
    case .any: .any
    }
  }

  /// What people call it.
  var name: String {
    switch self {
    case .ipv4: "IPv4"
    case .ipv6: "IPv6"
    case .any: "any address"
    }
  }
}
