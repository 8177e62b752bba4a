import Testing
import WeChatSimulator

@Suite("Tickets as the model plays them") struct TicketTests {
  private let path = "/cgi-bin/ticket/getticket"

  /// A bench whose tokens outlive what is tested, and one of them.
  private func bench(_ change: (inout AppSettings) -> Void = { _ in }) throws
    -> (bench: ModelBench, token: String)
  {
    var bench = ModelBench {
      $0.life = 864_000_000
      change(&$0)
    }
    let token = try #require(bench.token(at: 0).token)
    return (bench, token)
  }

  private func ticket(
    _ bench: inout ModelBench, _ token: String, _ type: String = "jsapi", at time: Milliseconds
  ) -> SimulatedAnswer {
    bench.get(path, [("type", type)], token: token, at: time)
  }

  private func text(_ answer: SimulatedAnswer) throws -> String {
    try #require(answer.json["ticket"]?.string)
  }

  @Test("a ticket is the same for two hours and says 7200 all the time, then a new one comes")
  func changes() throws {
    var (bench, token) = try bench()
    let first = ticket(&bench, token, at: 1)
    #expect(first.json["errcode"]?.integer == 0)
    let last = ticket(&bench, token, at: 7_200_000)
    #expect(try text(last) == text(first))
    #expect(last.json["expires_in"]?.integer == 7200)
    let next = ticket(&bench, token, at: 7_200_001)
    #expect(try text(next) != text(first))
    #expect(next.json["expires_in"]?.integer == 7200)
  }

  @Test("the two types are separate tickets, and there is no third")
  func separatesTypes() throws {
    var (bench, token) = try bench()
    let page = ticket(&bench, token, at: 1)
    #expect(try text(ticket(&bench, token, "wx_card", at: 2)) != text(page))
    #expect(ticket(&bench, token, "other", at: 3).code == 40097)
  }

  @Test("a ticket may count down")
  func countsDown() throws {
    var (bench, token) = try bench { $0.ticketCountsDown = true }
    #expect(ticket(&bench, token, at: 1).json["expires_in"]?.integer == 7200)
    #expect(ticket(&bench, token, at: 3_600_001).json["expires_in"]?.integer == 3600)
  }

  @Test("tickets may change every two hours of the clock")
  func keepsToTheGrid() throws {
    var (bench, token) = try bench { $0.ticketsOnGrid = true }
    // It is 22:13:20 UTC, and even hours are on the grid.
    let first = ticket(&bench, token, at: 1)
    #expect(first.json["expires_in"]?.integer == 7200)
    #expect(try text(ticket(&bench, token, at: 6_399_999)) == text(first))
    let next = ticket(&bench, token, at: 6_400_000)
    #expect(try text(next) != text(first))
    #expect(try text(ticket(&bench, token, at: 13_599_999)) == text(next))
  }

  @Test("a ticket needs a live token")
  func refusesDeadTokens() throws {
    var bench = ModelBench {
      $0.life = 2000
      $0.grace = 500
    }
    let first = try #require(bench.token(at: 0).token)
    let second = try #require(bench.token(at: 1000).token)
    #expect(ticket(&bench, first, at: 1499).code == 0)
    let replaced = ticket(&bench, first, at: 1500)
    #expect(replaced.code == 40001)
    #expect(replaced.json["ticket"] == nil)
    #expect(ticket(&bench, second, at: 2999).code == 0)
    #expect(ticket(&bench, second, at: 3000).code == 42001)
    #expect(ticket(&bench, "", at: 3000).code == 41001)
  }

  @Test("a ticket does not depend on which token asks for it")
  func isIndependentOfTokens() throws {
    var (bench, token) = try bench()
    let first = try text(ticket(&bench, token, at: 1))
    let next = try #require(bench.token(at: 2).token)
    #expect(try text(ticket(&bench, next, at: 3)) == first)
    let stable = try #require(bench.stable(at: 4).token)
    #expect(try text(ticket(&bench, stable, at: 5)) == first)
    bench.schedule(.killCurrentToken(.legacy), at: 6)
    let isAccepted = bench.model.accepts(ticket: first, at: ModelBench.start + 7)
    #expect(isAccepted)
  }

  @Test(
    "an old ticket goes on signing pages for a while beside the new one",
    arguments: [3_600_000, 0, 10_000])
  func acceptsOldTickets(overlap: Milliseconds) throws {
    var (bench, token) = try bench { $0.ticketOverlap = overlap }
    let old = try text(ticket(&bench, token, at: 0))
    func accepts(_ ticket: String, at time: Milliseconds) -> Bool {
      bench.model.accepts(ticket: ticket, at: ModelBench.start + time)
    }
    #expect(accepts(old, at: 7_199_999))
    let new = try text(ticket(&bench, token, at: 7_200_000))
    #expect(accepts(new, at: 7_200_000))
    if overlap > 0 { #expect(accepts(old, at: 7_199_999 + overlap)) }
    #expect(accepts(old, at: 7_200_000 + overlap) == false)
    #expect(accepts(new, at: 7_200_000 + overlap))
    #expect(accepts("made-up", at: 7_200_000 + overlap) == false)
  }

  @Test("an hour of overlap is what there is, asked for or not")
  func hasAnHour() throws {
    var (bench, token) = try bench()
    let ticket = try text(ticket(&bench, token, at: 0))
    let verdicts = [10_799_999, 10_800_000].map {
      bench.model.accepts(ticket: ticket, at: ModelBench.start + $0)
    }
    #expect(verdicts == [true, false])
  }

  @Test("WeCom's tickets have no overlap")
  func knowsNoOverlapInWeCom() throws {
    var model = WeChatModel()
    var app = CorpApp(corpID: "corp", secret: "s")
    app.life = 86_400_000
    model.register(app)
    let token = try #require(
      model.answer(
        SimulatedRequest(
          path: "/cgi-bin/gettoken", query: [("corpid", "corp"), ("corpsecret", "s")]), at: 0
      ).token)
    let answer = model.answer(
      SimulatedRequest(path: "/cgi-bin/get_jsapi_ticket", query: [("access_token", token)]), at: 0)
    let ticket = try text(answer)
    let verdicts = [7_199_999, 7_200_000].map { model.accepts(ticket: ticket, at: $0) }
    #expect(verdicts == [true, false])
  }
}
