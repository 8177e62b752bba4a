import Testing
import TokenCore

@testable import Sidecar

@Suite("What is handed on when") struct OutputPlanTests {
  private static let start = Moment.origin + .seconds(100)

  /// A plan, and the clock that it is asked by.
  private struct Bench {
    var plan: OutputPlan
    var now = OutputPlanTests.start
    var wanted: [Errand.Place: Errand?] = [:]
    var calledOff: [UInt64] = []

    init(_ limits: OutputPlan.Limits) { plan = OutputPlan(limits) }

    /// What begins, now that this is wanted, too.
    mutating func begin(_ errands: Errand...) -> [OutputPlan.Start] {
      for errand in errands { wanted[errand.place] = errand }
      return look()
    }

    mutating func look(after span: Duration = .zero) -> [OutputPlan.Start] {
      now = now + span
      calledOff += plan.want(wanted, at: now)
      return plan.due(at: now)
    }

    mutating func finish(_ start: OutputPlan.Start, _ outcome: OutputPlan.Outcome) {
      plan.finished(start, outcome, at: now)
    }

    var troubles: [String] { plan.troubles(at: now).map { "\($0.subject): \($0.reason)" } }
  }

  private static let hook = Bench(.hooks)
  private static let files = Bench(.files(look: .seconds(20)))

  private static func errand(
    _ version: Int64, of name: String = "shop", path: String = "/run/t", isHook: Bool = true,
    seenAt: Moment = start
  ) -> Errand {
    let id = CredentialID(name)!
    let part = Errand.Part(
      id, AccessToken("token-\(version)"),
      version: Version(epoch: Epoch(1), sequence: version), expiresAt: 1000 + version)
    return isHook
      ? Errand(
        .hook(id), .hook(HookTarget(command: ["/bin/push"]), appID: "wx1"), parts: [part],
        seenAt: seenAt)
      : Errand(
        .file(id.account), .file(FileTarget(path: path)), parts: [part], seenAt: seenAt)
  }

  @Test("each version is handed on once, and only the newest of those that came meanwhile")
  func newest() {
    var bench = Self.hook
    let first = bench.begin(Self.errand(1))
    #expect(first.map(\.task) == [.handOn])
    #expect(bench.begin(Self.errand(2)).isEmpty)
    #expect(bench.begin(Self.errand(3)).isEmpty)
    bench.finish(first[0], .done)
    let next = bench.look()
    #expect(next.map { $0.errand.parts[0].version.sequence } == [3])
    bench.finish(next[0], .done)
    #expect(bench.look(after: .seconds(3600)).isEmpty)
  }

  @Test(
    "a failure is tried again after a second, two, four, … and a minute; another version at once")
  func retries() {
    var bench = Self.hook
    var starts = bench.begin(Self.errand(1))
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
      bench.finish(starts[0], .failed("it ended with the exit status 1"))
      #expect(bench.look(after: .milliseconds(wait * 1000 - 1)).isEmpty)
      starts = bench.look(after: .milliseconds(1))
      #expect(starts.count == 1)
    }
    #expect(bench.troubles == ["/bin/push: it ended with the exit status 1"])
    #expect(bench.plan.troubles(at: bench.now)[0].since == Self.start)
    bench.finish(starts[0], .failed("it ended with the exit status 1"))
    let other = bench.begin(Self.errand(2))
    #expect(other.count == 1)
    bench.finish(other[0], .done)
    #expect(bench.troubles == [])
  }

  @Test("a version that comes while another fails is tried at once")
  func newsDuringFailure() {
    var bench = Self.hook
    let starts = bench.begin(Self.errand(1))
    #expect(bench.begin(Self.errand(2)).isEmpty)
    bench.finish(starts[0], .failed("x"))
    #expect(bench.look().map { $0.errand.parts[0].version.sequence } == [2])
  }

  @Test("nothing is handed on while nothing lives, and what is wrong then is said elsewhere")
  func nothingLives() {
    var bench = Self.hook
    let starts = bench.begin(Self.errand(1))
    bench.finish(starts[0], .failed("x"))
    bench.wanted[.hook(CredentialID("shop")!)] = .some(nil)
    #expect(bench.look(after: .seconds(60)).isEmpty)
    #expect(bench.troubles == [])
    #expect(bench.begin(Self.errand(2)).count == 1)
  }

  @Test("who is no longer served is called off once, and served again as if it were new")
  func gone() {
    var bench = Self.hook
    let starts = bench.begin(Self.errand(1))
    bench.wanted = [:]
    #expect(bench.look().isEmpty)
    #expect(bench.look().isEmpty)
    #expect(bench.calledOff == [starts[0].id])
    bench.finish(starts[0], .stopped)
    #expect(bench.plan.isEmpty)
    #expect(bench.begin(Self.errand(1)).count == 1)
  }

  @Test("who is served again before the last attempt is over waits for that")
  func backAgain() {
    var bench = Self.hook
    let starts = bench.begin(Self.errand(1))
    bench.wanted = [:]
    _ = bench.look()
    #expect(bench.begin(Self.errand(1)).isEmpty)
    bench.finish(starts[0], .stopped)
    #expect(bench.look().count == 1)
  }

  @Test("programs that wait for something leave others their turn, and are not beyond number")
  func slowPrograms() {
    var bench = Self.hook
    var begun = bench.begin()
    for index in 0..<100 { bench.wanted[Self.place(index)] = Self.errand(1, of: "a\(index)") }
    begun += bench.look()
    #expect(begun.count == 8)
    for _ in 0..<20 { begun += bench.look(after: .seconds(1)) }
    #expect(begun.count == 56)
    bench.finish(begun[0], .done)
    #expect(bench.look().count == 1)
  }

  private static func place(_ index: Int) -> Errand.Place { .hook(CredentialID("a\(index)")!) }

  @Test("a write that hangs is told, keeps its directory, and nothing else, from being written to")
  func hangingWrite() {
    var bench = Self.files
    let first = bench.begin(Self.errand(1, path: "/nfs/a", isHook: false))
    #expect(bench.look(after: .seconds(5)).isEmpty)
    #expect(bench.troubles.count == 1 && bench.troubles[0].contains("hangs"))
    let others = bench.begin(
      Self.errand(1, of: "b", path: "/nfs/b", isHook: false),
      Self.errand(1, of: "c", path: "/run/c", isHook: false))
    #expect(others.map(\.errand.way.subject) == ["/run/c"])
    #expect(bench.troubles.contains { $0.contains("/nfs/b: it waits") })
    bench.finish(others[0], .done)
    // Another version does not overtake it.
    #expect(bench.begin(Self.errand(2, path: "/nfs/a", isHook: false)).isEmpty)
    bench.finish(first[0], .done)
    #expect(
      Set(bench.look().map(\.errand.way.subject)) == ["/nfs/a", "/nfs/b"])
  }

  @Test("what is in a file is looked at with each tick, and somebody else's writing gives way only")
  func looks() {
    var bench = Self.files
    let starts = bench.begin(Self.errand(1, isHook: false))
    bench.finish(starts[0], .done)
    #expect(bench.look(after: .milliseconds(19_999)).isEmpty)
    let look = bench.look(after: .milliseconds(1))
    #expect(look.map(\.task) == [.look(mayReplace: false)])
    bench.finish(look[0], .replaced)
    let next = bench.look(after: .seconds(20))
    #expect(next.map(\.task) == [.look(mayReplace: false)])
    bench.finish(next[0], .replaced)
    #expect(bench.begin(Self.errand(1, isHook: false, seenAt: bench.now)).isEmpty)
    let last = bench.look(after: .seconds(20))
    #expect(last.map(\.task) == [.look(mayReplace: true)])
    bench.finish(last[0], .done)
  }

  @Test("a file is written again when what it says of a life has changed")
  func expiry() {
    var bench = Self.files
    let starts = bench.begin(Self.errand(1, isHook: false))
    bench.finish(starts[0], .done)
    let part = starts[0].errand.parts[0]
    let shorter = Errand(
      starts[0].errand.place, starts[0].errand.way,
      parts: [
        Errand.Part(part.credential, part.token, version: part.version, expiresAt: 900)
      ], seenAt: bench.now)
    #expect(bench.begin(shorter).map(\.task) == [.handOn])
  }
}
