import Dialing
import FoundationEssentials
import Logging
import NIOCore
import NIOSSL
import RedisClient
import Synchronization
import TokenCore

extension WeChatClient {
  struct Call {
    var method: String
    var path: String
    var query: [(String, String)] = []
    var body: String?
    /// Whether it lets others go first when there are too many.
    var canWait = false
  }

  enum Reply {
    case answered(OutboundAnswer, sentAt: Moment)
    /// Nothing went out: WeChat cannot have minted.
    case notSent(FetchFailure)
    /// The head was written, and no whole answer came.
    case lost(FetchFailure)
  }

  func attempt(
    _ call: Call, for account: AccountName, among hosts: [BaseURL],
    notAfter: ContinuousClock.Instant, permit: SendPermit? = nil, timeout: Duration
  ) async -> (Reply, CallFacts) {
    let start = ContinuousClock.now
    let index = orders.withLock { $0[hosts]?.place(of: account) ?? 0 }
    let host = host(hosts[index])
    let gate = SendGate(notAfter: notAfter, permit: permit, timeout: timeout)
    var facts = CallFacts(
      host: host.base.authority, base: host.base, endpoint: call.path, duration: .zero)
    let way = AddressFamilies.Way(account: account, host: host.base)
    let result = await send(call, to: host, way, gate: gate, deadline: start + timeout)
    let passage = gate.close()
    facts.duration = ContinuousClock.now - start
    let reply: Reply
    switch (result, passage) {
    case (.success(let answer), .sent(let sentAt)):
      facts.status = answer.status
      facts.clockSkew = Self.skew(of: answer, duration: facts.duration)
      // Where one JSON object is whole, nothing is missing that counts, however its connection
      // ended; a gateway's error is one with or without the end of its page.
      if let flaw = answer.flaw, answer.status < 500, WeChatAnswer(answer.body) == nil {
        reply = .lost(lost(facts, flaw))
      } else {
        reply = .answered(answer, sentAt: sentAt)
      }
    case (.success, .notSent), (.success, .tooLate):
      // An answer to a request that was never written is not one of WeChat's.
      reply = .lost(FetchFailure(.transient, reason: "An answer came before the request was sent"))
    case (.failure(let failure), .sent): reply = .lost(lost(facts, failure))
    case (.failure, .tooLate):
      reply = .notSent(
        FetchFailure(.transient, reason: "The request was not sent: its time was over"))
    case (.failure(let failure), .notSent):
      reply = .notSent(
        FetchFailure(
          .transient, reason: "\(facts.host) was not reached: \(failure)", isTransport: true,
          // Descriptors may be there again at any moment, and nobody says when.
          retriesSoon: failure.isOutOfDescriptors))
    }
    if let isHosts = Self.isHostsFault(reply) {
      moveOn(from: index, of: hosts, for: account, isHostsFault: isHosts)
    }
    return (reply, facts)
  }

  func lost(_ facts: CallFacts, _ failure: OutboundFailure) -> FetchFailure {
    FetchFailure(
      .transient, reason: "\(facts.host) was asked, but no whole answer came: \(failure)",
      isTransport: true)
  }

  /// Waits for its turn, and makes the call.
  func send(
    _ call: Call, to host: Host, _ way: AddressFamilies.Way, gate: SendGate,
    deadline: ContinuousClock.Instant
  ) async -> Result<OutboundAnswer, OutboundFailure> {
    let loop = caller.eventLoopGroup.next()
    guard await limiter.enter(before: deadline, canWait: call.canWait, on: loop) else {
      return .failure(
        Task.isCancelled
          ? .cancelled : .timedOut("while other calls were under way (WCH_API_CONCURRENCY)"))
    }
    defer { limiter.leave() }
    var request = OutboundRequest(
      destination: .host(host.base.host, port: host.base.port), proxy: host.proxy, tls: host.tls,
      method: call.method, target: host.base.path + call.path + Self.encode(call.query),
      authority: host.base.authority,
      fields: [
        ("accept", "application/json"), ("accept-encoding", "identity"),
        // In `token` mode an answer out of a cache is no answer.
        ("cache-control", "no-cache, no-store"), ("pragma", "no-cache"),
        ("user-agent", "wch-sidecar"),
      ])
    if let body = call.body {
      request.fields.append(("content-type", "application/json"))
      request.body = Array(body.utf8)
    }
    request.family = family == .any ? families.withLock { $0.family(way) } : family
    while true {
      do throws(OutboundFailure) {
        return .success(
          try await caller.answer(
            to: request, gate: gate, longestBody: Self.maxBody, deadline: deadline))
      } catch {
        if case .dial = error, !error.isOutOfDescriptors, request.family != family {
          // Nothing was sent: what was preferred is not there any more.
          families.withLock { $0.failed(way) }
          request.family = family
          continue
        }
        guard error.isOutOfDescriptors, .now + Self.descriptorPause < deadline, !Task.isCancelled
        else { return .failure(error) }
        try? await Task.sleep(for: Self.descriptorPause)
      }
    }
  }

  // MARK: Families of addresses

  /// The outcome, and what follows from it for the family that is asked next.
  func judged(
    _ outcome: FetchOutcome, _ answer: OutboundAnswer, _ facts: CallFacts,
    for request: WeChatRequest
  ) async -> FetchOutcome {
    let way = AddressFamilies.Way(account: request.account, host: facts.base)
    let host = host(facts.base)
    guard family == .any, host.proxy == nil, let over = answer.remote?.family else {
      return outcome
    }
    guard case .knownFailure(let failure) = outcome, failure.refusesAddress,
      let address = failure.egressAddress
    else {
      if case .works(let refused)? = families.withLock({ $0.accepted(way, over: over) }) {
        logger.tell(
          .addressFamily,
          "WeChat refused this machine's address, and takes the one of the other family",
          .keyed([
            .account: "\(request.account)", .wechatEgress: "\(refused)", .reason: "\(over.name)",
          ]))
      }
      return outcome
    }
    let isFirst = families.withLock { $0.family(way) } != over
    let hasOther = isFirst ? await reaches(host, over: over.other) : true
    let finding = families.withLock {
      $0.refused(way, over: over, address: address, hasOther: hasOther)
    }
    switch finding {
    case .tryOther:
      return .knownFailure(
        failure.saying("this was over \(over.name); \(over.other.name) is tried next", soon: true))
    case .bothRefused(let refused):
      return .knownFailure(
        failure.saying(
          "\(address) over \(over.name) is refused, and so was \(refused) over \(over.other.name)"))
    case .works, nil: return outcome
    }
  }

  /// Whether the host has an address of that family that can be reached from here.
  func reaches(_ host: Host, over family: Dialer.Family) async -> Bool {
    let trial = try? await caller.dialer.connect(
      host: host.base.host, port: host.base.port, family: family,
      deadline: .now + Self.familyTrial, on: caller.eventLoopGroup.next()
    ) { $0 }
    trial?.channel.close(promise: nil)
    return trial?.address.family == family
  }

  /// Whether it is the host's fault that another one may do better; nil when none may.
  static func isHostsFault(_ reply: Reply) -> Bool? {
    switch reply {
    case .answered(let answer, _):
      guard answer.status < 500, let said = WeChatAnswer(answer.body) else { return true }
      return said.errorCode == .whole(Int64(WeChatError.systemError)) ? false : nil
    case .notSent(let failure): return failure.isTransport ? true : nil
    case .lost(let failure): return failure.isTransport ? false : nil
    }
  }

  /// Lets the next attempt ask the next host.
  func moveOn(
    from index: Int, of hosts: [BaseURL], for account: AccountName, isHostsFault: Bool
  ) {
    orders.withLock { orders in
      let first = HostOrder(count: hosts.count)
      var order = orders[hosts] ?? first
      order.failed(at: index, for: account, isHostsFault: isHostsFault)
      // Only what is not as at the start is kept: lists that are no longer used leave nothing.
      orders[hosts] = order == first ? nil : order
    }
  }

  /// `?name=value&…` with everything but the unreserved characters escaped.
  static func encode(_ query: [(String, String)]) -> String {
    guard !query.isEmpty else { return "" }
    return "?" + query.map { "\($0)=\(PercentEncoding.encoded($1))" }.joined(separator: "&")
  }

  static func skew(of answer: OutboundAnswer, duration: Duration) -> Duration? {
    // A cache's `Date` is that of the answer that it kept.
    guard answer.age == .zero, let date = answer["date"], let server = HTTPDate.second(of: date)
    else { return nil }
    return skew(ofSecond: server, duration)
  }

  /// A request id begins with the second of WeChat's clock.
  static func skew(of outcome: FetchOutcome, _ duration: Duration) -> Duration? {
    switch outcome {
    case .token: nil
    case .knownFailure(let failure), .unknown(let failure):
      failure.requestID.flatMap { ErrorMessage.second(ofRequestID: $0) }
        .map { skew(ofSecond: $0, duration) }
    }
  }

  static func skew(ofSecond server: Int64, _ duration: Duration) -> Duration {
    // The answer was written about the middle of the call, and the second has lost its fraction.
    let ours = Date().timeIntervalSince1970 - duration.inSeconds / 2
    return .milliseconds(Int64((Double(server) + 0.5 - ours) * 1000))
  }
}

extension OutboundAnswer {
  /// How old caches on the way say that it is (RFC 9111 section 5.1).
  var age: Duration {
    let ages = fields.filter { $0.name == "age" }.compactMap { field -> Int64? in
      guard !field.value.isEmpty, field.value.utf8.allSatisfy({ (0x30...0x39).contains($0) })
      else { return nil }
      // What is too long for a number is older than any token.
      return min(Int64(field.value) ?? .max, Self.oldest)
    }
    return .seconds(ages.max() ?? 0)
  }

  /// Seconds beyond which one is as old as another: RFC 9111 section 1.2.2.
  static let oldest: Int64 = 1 << 31
}

extension SocketAddress {
  /// The family of addresses; nil for a path, or for IPv4 in the form of IPv6.
  fileprivate var family: Dialer.Family? {
    switch self {
    case .v4: .ipv4
    case .v6: .ipv6
    case .unixDomainSocket: nil
    }
  }
}

extension FetchFailure {
  /// The same with more words, and with a next attempt at once when that goes another way.
  fileprivate func saying(_ words: String, soon: Bool = false) -> FetchFailure {
    FetchFailure(
      category, code: code, reason: "\(reason); \(words)", requestID: requestID,
      egressAddress: egressAddress, isTransport: isTransport,
      refusesAddress: refusesAddress, holdOff: holdOff, retriesSoon: soon)
  }
}
