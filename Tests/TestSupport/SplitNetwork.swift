import Foundation

/// Two networks on this machine, `near` and `far`, and a way between them that can be cut: what is
/// sent gets lost then, and nobody is told.
///
/// This process is on the near side's way: what it sends to the far one gets lost, too. Whoever is
/// on the far side reaches this process by a way of its own. It takes root.
package final class SplitNetwork: Sendable {
  private let id = String(UInt16.random(in: 0 ... .max), radix: 16)

  private static let nearHost = "10.77.2.2"
  private static let farHost = "10.77.1.2"
  /// This process, as each side sees it.
  package static let hereFromNear = "10.77.12.1"
  package static let hereFromFar = "10.77.11.1"

  package var near: RedisServer.Place {
    .init(host: Self.nearHost, launcher: ["ip", "netns", "exec", "near\(id)"])
  }

  package var far: RedisServer.Place {
    .init(host: Self.farHost, launcher: ["ip", "netns", "exec", "far\(id)"])
  }

  /// Makes the networks, runs the body, and removes them.
  package static func run<Result: Sendable>(
    _ body: (SplitNetwork) async throws -> Result
  ) async throws -> Result {
    let network = SplitNetwork()
    defer {
      try? network.shell(
        """
        for n in near far way; do ip netns del $n$ID; done
        ip link del wn$ID || true; ip link del wf$ID || true
        """)
    }
    try network.shell(
      """
      for n in near far way; do ip netns add $n$ID; ip -n $n$ID link set lo up; done
      pair() { # name, network, address, other name, other network, other address
        ip link add $1 netns $2$ID type veth peer name $4 netns $5$ID
        ip -n $2$ID addr add $3/24 dev $1; ip -n $2$ID link set $1 up
        ip -n $5$ID addr add $6/24 dev $4; ip -n $5$ID link set $4 up
      }
      pair w0 far 10.77.1.2 w1 way 10.77.1.1
      pair w2 near 10.77.2.2 w3 way 10.77.2.1
      ip link add wn$ID type veth peer name w4 netns near$ID
      ip addr add 10.77.12.1/24 dev wn$ID; ip link set wn$ID up
      ip -n near$ID addr add 10.77.12.2/24 dev w4; ip -n near$ID link set w4 up
      ip link add wf$ID type veth peer name w5 netns far$ID
      ip addr add 10.77.11.1/24 dev wf$ID; ip link set wf$ID up
      ip -n far$ID addr add 10.77.11.2/24 dev w5; ip -n far$ID link set w5 up
      ip route add 10.77.1.2/32 via 10.77.12.2
      ip route add 10.77.2.2/32 via 10.77.12.2
      ip -n near$ID route add default via 10.77.2.1
      ip -n far$ID route add default via 10.77.1.1
      ip -n way$ID route add 10.77.12.0/24 via 10.77.2.2
      for n in near way; do
        ip netns exec $n$ID sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
      done
      """)
    return try await body(network)
  }

  /// From now on what one side sends to the other gets lost.
  package func cut() throws { try forward(false) }

  package func heal() throws { try forward(true) }

  private func forward(_ isOpen: Bool) throws {
    try shell("ip netns exec way$ID sh -c 'echo \(isOpen ? 1 : 0) >/proc/sys/net/ipv4/ip_forward'")
  }

  private func shell(_ script: String) throws {
    guard try ChildProcess(["/bin/sh", "-ec", "ID=\(id)\n\(script)"]).succeeds() else {
      throw RedisServer.Failure("two networks cannot be made, cut or removed; is this root?")
    }
  }
}
