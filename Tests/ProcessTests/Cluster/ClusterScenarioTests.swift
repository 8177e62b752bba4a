import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// What happens to nodes of a cluster, under three replicas and an application that reads and
/// judges the token every 20 ms.
@Suite(.serialized, .enabled(if: Topologies.areWanted))
struct ClusterScenarioTests {
  @Test("with the plain names each primary is killed in turn, that of the expiry by itself")
  func plainNames() async throws {
    var options = ClusterGroup.Options()
    options.keys = .plain
    try await Deployment.run(withCluster: options) { deployment, group in
      try await ClusterFailOver.startApart(deployment, group)
      for key in group.keys.relevant {
        try await ClusterFailOver.follow(deployment, group, primaryOf: key) { $0.kill() }
      }
      try await ClusterFailOver.report(deployment, group)
      #expect(deployment.mints == 2)
      try await waitUntil("the expiry is the new token's", within: patience) {
        let (left, until) = (
          try await deployment.ask("PTTL", group.keys.token).number ?? 0,
          try await deployment.ask("PTTL", group.keys.expiry).number ?? 0
        )
        return left > 0 && abs(left - until) < 2000
      }
    }
  }

  @Test("each primary that matters is killed in turn")
  func killed() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      for key in group.keys.relevant {
        try await ClusterFailOver.follow(deployment, group, primaryOf: key) { $0.kill() }
      }
      // Reports are heard where the list is now.
      try await ClusterFailOver.report(deployment, group)
      #expect(deployment.mints == 2)
    }
  }

  @Test(
    "a primary is paused: it is left before it goes on, and no connection is made to it then",
    arguments: [0, 1, 2])
  func paused(place: Int) async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      let key = group.keys.relevant[place]
      try await FailOver.startReplicas(deployment)
      let failOver = try await ClusterFailOver.follow(deployment, group, primaryOf: key) {
        $0.pause()
      }
      let former = failOver.former
      for process in deployment.processes {
        try await waitUntil("\(process.instance) has left it", within: patience) {
          try await process.nodes().allSatisfy { !$0.hasSuffix(":\(former.port)") }
        }
      }
      former.resume()
      // A former primary learns what it is from the others.
      try await waitUntil("it is a replica", within: patience) {
        try await former.command("ROLE").elements?.first?.text == "slave"
      }
      try await group.waitUntilWhole()
      @Sendable func stray() async throws -> Substring? {
        let list = try await former.command("CLIENT", "LIST").text ?? ""
        return list.split(separator: "\n").first { line in
          line.contains(" name=wch-sidecar") && !line.contains(" cmd=subscribe ")
            && !line.contains(" cmd=ping ")
        }
      }
      // What was under way there was given a moment.
      try await waitUntil("all have left it", within: patience) { try await stray() == nil }
      #expect(try await firstExcept(for: .seconds(2)) { try await stray() } == nil)
      #expect(deployment.mints == 1)
    }
  }

  @Test("an operator's fail-over of each primary that matters costs no fetch")
  func ordered() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let leader = try #require(try await deployment.leader())
      for key in group.keys.relevant {
        try await ClusterFailOver.follow(deployment, group, primaryOf: key) { _ in
          try await group.failOver(key)
        }
      }
      #expect(try await deployment.leader() === leader)
      try await ClusterFailOver.report(deployment, group)
      #expect(deployment.mints == 2)
    }
  }

  @Test("with most primaries lost nobody fetches, and all goes on when they are back")
  func majorityLost() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let last = try await group.waitForPrimary(of: group.keys.lock)
      let replica = try await group.replica(of: last)
      let others = group.servers.filter { $0 !== last && $0 !== replica }
      try await deployment.withReader { reader in
        for server in others { server.pause() }
        try await waitUntil("it serves no more", within: patience) {
          try await last.command("CLUSTER", "INFO").text?.contains("cluster_state:fail") == true
        }
        try await waitUntil("nobody leads", within: patience) {
          var leaders = 0
          for process in deployment.processes {
            leaders += Int(try await process.metric("wechat_token_leader_status"))
          }
          return leaders == 0
        }
        for server in others { server.resume() }
        try await group.waitUntilWhole()
        let end = ContinuousClock.now
        try await FailOver.settle(deployment, reader)
        let gap = FailOver.Gap(reader.changes, before: end)
        print("majority lost: outage \(gap.lasted), of it after: \(gap.beyond)")
        #expect(gap.beyond <= FailOver.slack)
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        #expect(deployment.mints == 1)
      }
    }
  }

  @Test(
    "nodes that name no host, and those that go by names, are followed",
    arguments: ["unknown-endpoint", "hostname"])
  func endpoints(type: String) async throws {
    var options = ClusterGroup.Options()
    options.configuration = [
      ("cluster-announce-hostname", "localhost"), ("cluster-preferred-endpoint-type", type),
    ]
    try await Deployment.run(withCluster: options) { deployment, group in
      try await FailOver.startReplicas(deployment)
      for key in group.keys.relevant.prefix(2) {
        try await ClusterFailOver.follow(deployment, group, primaryOf: key) { $0.kill() }
      }
    }
  }

  /// Nodes show each other the certificate, too: it must be good for both ends.
  private static func files(_ directory: URL) throws -> SentinelGroup.TLSFiles {
    let certificate = directory.appendingPathComponent("tls.pem").path
    let key = directory.appendingPathComponent("tls.key").path
    let process = try ChildProcess([
      "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
      "-nodes", "-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost",
    ])
    #expect(process.succeeds())
    return .init(certificate: certificate, key: key, authority: certificate)
  }

  @Test(
    "over TLS the name that nodes report counts, or server_name",
    arguments: [("hostname", ""), ("ip", "&server_name=localhost"), ("ip", "")])
  func encrypted(type: String, parameter: String) async throws {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("t\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    var options = ClusterGroup.Options()
    options.tls = try Self.files(directory)
    options.configuration = [
      ("cluster-announce-hostname", "localhost"), ("cluster-preferred-endpoint-type", type),
    ]
    try await Deployment.run(withCluster: options) { deployment, group in
      let settings = ["WCH_REDIS_URL": group.url + parameter]
      guard type == "hostname" || !parameter.isEmpty else {
        let replica = try deployment.start("a", Deployment.brisk.merging(settings) { $1 })
        try await replica.waitForStatus(200, of: "/startupz")
        return try await waitUntil("it says what is missing", within: patience) {
          try await replica.troubles()["redis_away"]?.contains("cluster-announce-hostname") == true
        }
      }
      try await FailOver.startReplicas(deployment, settings)
      try await ClusterFailOver.follow(deployment, group, primaryOf: group.keys.lock) { $0.kill() }
    }
  }

  @Test("the rights that acl prints are enough, and none of them is refused")
  func rights() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      let acl = try SidecarProcess(
        ["acl"], environment: ["WCH_REDIS_URL": group.url], instance: "acl")
      #expect(try await acl.waitForExit() == .code(0))
      for server in group.servers {
        let line = acl.outputText.replacing("PASSWORD", with: "secret")
          .replacing("redis-cli ", with: "redis-cli -p \(server.port) -e ")
        #expect(try ChildProcess(["/bin/sh", "-ec", line]).succeeds(), "\(line)")
      }
      let settings = ["WCH_REDIS_USERNAME": "wch-sidecar", "WCH_REDIS_PASSWORD": "secret"]
      try await FailOver.startReplicas(deployment, settings)
      let move = try await group.beginMove(of: group.keys.lock)
      try await group.moveKeys([group.keys.lock], move)
      try await group.endMove(move)
      for key in group.keys.relevant {
        try await ClusterFailOver.follow(deployment, group, primaryOf: key) { _ in
          try await group.failOver(key)
        }
      }
      try await ClusterFailOver.report(deployment, group)
      for server in group.servers {
        #expect(try await server.command("ACL", "LOG").elements == [])
      }
      // Replicas are named once they have caught up.
      try await group.waitUntilWhole()
      let check = try SidecarProcess(
        ["check", "--connect"],
        environment: deployment.environment(instance: "a").merging(settings) { $1 },
        instance: "check")
      #expect(try await check.waitForExit() == .code(0), "\(check.outputText)")
      #expect(check.outputText.contains("3 primaries, 3 replicas, all slots are served"))
      #expect(check.outputText.contains("ok: permissions: all 30 commands"))
    }
  }

  @Test("one node that refuses the login is named, and hides nothing about the others")
  func refusedLogin() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      let node = try await group.waitForPrimary(of: group.keys.token)
      let other = try await group.waitForPrimary(of: group.keys.lock)
      let leader = try #require(try await deployment.leader())
      try await node.command("CONFIG", "SET", "requirepass", "another")
      // Whoever is connected stays so else; this test's own connections are refused, too.
      let kill = try ChildProcess([
        "redis-cli", "-p", "\(node.port)", "--no-auth-warning", "-a", "another", "CLIENT", "KILL",
        "TYPE", "normal",
      ])
      #expect(kill.succeeds())
      try await waitUntil("it is named", within: patience) {
        try await leader.troubles()["redis_login"]?.contains("node 127.0.0.1:\(node.port)") == true
      }
      let check = try SidecarProcess(
        ["check", "--connect"], environment: deployment.environment(instance: "a"),
        instance: "check")
      #expect(try await check.waitForExit(within: patience) == .code(69), "\(check.outputText)")
      #expect(check.outputText.contains("error: node 127.0.0.1:\(node.port)"))
      #expect(check.outputText.contains("ok: node 127.0.0.1:\(other.port) version"))
    }
  }

  @Test("a node that has forgotten the scripts is sent them")
  func scriptFlush() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      try await deployment.withReader { reader in
        for key in group.keys.relevant {
          let primary = try await group.waitForPrimary(of: key)
          try await primary.command("SCRIPT", "FLUSH")
        }
        try await ClusterFailOver.report(deployment, group)
        try await FailOver.settle(deployment, reader)
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        #expect(deployment.mints == 2)
      }
    }
  }

  @Test("a replica listens at another node when its own leaves the cluster")
  func subscriberMoves() async throws {
    try await Deployment.run(withCluster: .init()) { deployment, group in
      try await FailOver.startReplicas(deployment)
      // One that leads nothing can leave without its slots.
      let node = try await waited(for: "a subscription at a replica", within: patience) {
        for server in group.servers where !(try await group.subscribers(of: server)).isEmpty {
          if try await server.command("ROLE").elements?.first?.text == "slave" { return server }
          try await server.command("CLIENT", "KILL", "TYPE", "pubsub")
        }
        return nil
      }
      let id = try await node.command("CLUSTER", "MYID").text ?? ""
      try group.command(["del-node", "127.0.0.1:\(group.servers[0].port)", id])
      // No command goes wrong by that: the regular look at who serves what finds it.
      try await waitUntil("nobody listens there", within: .seconds(90)) {
        try await group.subscribers(of: node).isEmpty
      }
      for process in deployment.processes {
        try await waitUntil("\(process.instance) listens", within: patience) {
          try await process.connections()["events"] == true
        }
      }
      #expect(deployment.mints == 1)
    }
  }

  @Test("of many followers each has few connections, and no node has more than they need")
  func manyFollowers() async throws {
    let count = ProcessInfo.processInfo.environment["WCH_FOLLOWERS"].flatMap { Int($0) } ?? 200
    try await Deployment.run(withCluster: .init()) { deployment, group in
      let leader = try await deployment.start(count: 1, ["WCH_LOG_LEVEL": "notice"])
      for number in 1..<count {
        try deployment.start("f\(number)", ["WCH_LOG_LEVEL": "notice"])
      }
      for process in deployment.processes {
        try await process.waitForStatus(200, of: "/readyz", within: .seconds(180))
      }
      @Sendable func connections() async throws -> [Int] {
        var counts: [Int] = []
        for server in group.servers where server.runs {
          let list = try await server.command("CLIENT", "LIST").text ?? ""
          counts.append(list.split(separator: "\n").count)
          let kinds = Dictionary(
            grouping: list.split(separator: "\n").map { line in
              line.split(separator: " ").filter { $0.hasPrefix("cmd=") || $0.hasPrefix("name=") }
                .map { $0.prefix { $0 != ":" } }.joined(separator: " ")
            }, by: \.self
          ).mapValues(\.count)
          print("\(server.port): \(kinds)")
        }
        return counts.sorted()
      }
      // One for commands to each of the three primaries, and one that listens somewhere.
      let before = try await connections()
      print("connections of \(count) replicas at the nodes: \(before)")
      #expect(before.reduce(0, +) < count * 5 && (before.last ?? 0) < count * 2)
      try await deployment.withReader { reader in
        leader.kill()
        try await deployment.waitForLeader(otherThan: leader, within: .seconds(40))
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        let former = try await group.waitForPrimary(of: group.keys.lock)
        former.kill()
        let next = try await group.waitForPrimary(of: group.keys.lock, otherThan: former)
        let start = ContinuousClock.now
        try await waitUntil("all have moved", within: patience) {
          try await group.clients(of: next, named: "wch-sidecar") >= count - 1
        }
        print("\(count - 1) followers moved within \(ContinuousClock.now - start)")
        try await waitUntil("one leads", within: patience) { try await deployment.leader() != nil }
        let after = try await connections()
        print("connections afterwards: \(after)")
        #expect(after.reduce(0, +) < count * 5 && (after.last ?? 0) < count * 2)
        #expect(reader.deadReadings == 0)
      }
      #expect(deployment.mints == 1)
    }
  }
}
