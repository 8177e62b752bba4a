import Testing
import TokenCore

@testable import Sidecar

/// Which of WeChat's hosts is asked, and by whom.
@Suite struct HostOrderTests {
  private let one = AccountName.unnamed
  private let other: AccountName

  init() throws { other = try #require(AccountName("other")) }

  @Test func `what is a host's fault takes everybody away from it, once`() {
    var order = HostOrder(count: 3)
    order.failed(at: 0, for: one, isHostsFault: true)
    #expect(order.place(of: one) == 1 && order.place(of: other) == 1)
    // A call that began before has found the same.
    order.failed(at: 0, for: other, isHostsFault: true)
    #expect(order.place(of: one) == 1 && order.place(of: other) == 1)
  }

  @Test func `what may be an account's own moves nobody else, however often`() {
    var order = HostOrder(count: 2)
    for place in [0, 1, 0, 1, 0] {
      #expect(order.place(of: other) == place)
      order.failed(at: place, for: other, isHostsFault: false)
      #expect(order.place(of: one) == 0)
    }
  }

  @Test func `who is with the others again goes on with them`() {
    var order = HostOrder(count: 3)
    order.failed(at: 0, for: other, isHostsFault: false)
    order.failed(at: 0, for: one, isHostsFault: true)
    var common = HostOrder(count: 3)
    common.failed(at: 0, for: one, isHostsFault: true)
    #expect(order == common)
    order.failed(at: 1, for: one, isHostsFault: true)
    #expect(order.place(of: other) == 2)
  }

  @Test func `of one host there is no other`() {
    var order = HostOrder(count: 1)
    order.failed(at: 0, for: one, isHostsFault: true)
    order.failed(at: 0, for: other, isHostsFault: false)
    #expect(order.place(of: one) == 0 && order.place(of: other) == 0)
  }
}
