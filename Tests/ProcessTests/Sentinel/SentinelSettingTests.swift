import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Names, passwords and TLS of sentinels, and many followers.
@Suite(.serialized, .enabled(if: Topologies.areWanted))
struct SentinelSettingTests {
  @Test("a name that no sentinel knows is told, and followed once they know it")
  func unknownName() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let url = group.url.replacing("master=\(SentinelGroup.name)", with: "master=other")
      let replica = try deployment.start(
        "a", Deployment.brisk.merging(["WCH_REDIS_URL": url]) { $1 })
      try await replica.waitForStatus(200, of: "/startupz")
      try await waitUntil("it says so", within: patience) {
        try await replica.troubles()["primary_unknown"]?.contains("do not know other") == true
      }
      let check = try SidecarProcess(
        ["check", "--connect"],
        environment: deployment.environment(instance: "a").merging(["WCH_REDIS_URL": url]) { $1 },
        instance: "check")
      #expect(try await check.waitForExit() != .code(0))
      #expect(check.outputText.contains("does not know the name"), "\(check.outputText)")
      for sentinel in group.sentinels {
        try await group.ask(
          sentinel, "SENTINEL", "MONITOR", "other", "127.0.0.1", "\(group.servers[0].port)", "2")
      }
      try await replica.waitForStatus(200, of: "/readyz", within: .seconds(20))
      #expect(deployment.mints == 1)
    }
  }

  @Test("a wrong password of the sentinels is told as theirs, and read again when it is corrected")
  func wrongPassword() async throws {
    var options = SentinelGroup.Options()
    options.sentinelPassword = "right"
    try await Deployment.run(withSentinels: options) { deployment, group in
      let file = deployment.redis.directory.appendingPathComponent("sentinel-password")
      try Data("wrong\n".utf8).write(to: file)
      let settings = ["WCH_REDIS_SENTINEL_PASSWORD_FILE": file.path]
      let replica = try deployment.start("a", Deployment.brisk.merging(settings) { $1 })
      try await replica.waitForStatus(200, of: "/startupz")
      try await waitUntil("it says whose", within: patience) {
        try await replica.troubles()["primary_unknown"]?.contains("redisSentinelPassword") == true
      }
      try Data("right\n".utf8).write(to: file)
      try await replica.waitForStatus(200, of: "/readyz", within: .seconds(20))
      try await FailOver.startMore(deployment, settings)
      try await FailOver.follow(deployment, group, from: group.servers[0]) { $0.kill() }
    }
  }

  @Test("the rights that acl --sentinel prints are enough, and none of them is refused")
  func rights() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let acl = try SidecarProcess(["acl", "--sentinel"], environment: [:], instance: "acl")
      #expect(try await acl.waitForExit() == .code(0))
      for sentinel in group.sentinels {
        let line = acl.outputText.replacing("PASSWORD", with: "secret")
          .replacing("-p 26379", with: "-p \(sentinel.port) -e")
        #expect(try ChildProcess(["/bin/sh", "-ec", line]).succeeds(), "\(line)")
      }
      let url = group.url + "&sentinel_user=wch-sidecar"
      try await FailOver.startReplicas(
        deployment, ["WCH_REDIS_URL": url, "WCH_REDIS_SENTINEL_PASSWORD": "secret"])
      try await FailOver.follow(deployment, group, from: group.servers[0]) { _ in
        try await group.failOver()
      }
      for sentinel in group.sentinels {
        #expect(try await group.ask(sentinel, "ACL", "LOG").elements == [])
      }
    }
  }

  private static func files(_ directory: URL) throws -> SentinelGroup.TLSFiles {
    func file(_ name: String, _ text: String) throws -> String {
      let file = directory.appendingPathComponent(name)
      try Data(text.utf8).write(to: file)
      return file.path
    }
    return .init(
      certificate: try file("tls.pem", FixedCertificates.localhost),
      key: try file("tls.key", FixedCertificates.localhostKey),
      authority: try file("ca.pem", FixedCertificates.authority))
  }

  @Test(
    "over TLS the name that sentinels report counts, or server_name",
    arguments: [(true, ""), (false, "&server_name=localhost")])
  func encrypted(usesNames: Bool, parameter: String) async throws {
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("t\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    var options = SentinelGroup.Options()
    options.tls = try Self.files(directory)
    options.usesNames = usesNames
    try await Deployment.run(withSentinels: options) { deployment, group in
      if !usesNames {
        let check = try SidecarProcess(
          ["check", "--connect"], environment: deployment.environment(instance: "check"),
          instance: "check")
        #expect(try await check.waitForExit() == .code(69))
        #expect(check.outputText.contains("announce-hostnames"), "\(check.outputText)")
      }
      try await FailOver.run(
        deployment, group, settings: ["WCH_REDIS_URL": group.url + parameter]
      ) { $0.kill() }
    }
  }

  @Test("sentinels that have other addresses behind their names by now are found")
  func movedNames() async throws {
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let hosts = deployment.redis.directory.appendingPathComponent("hosts")
      func write(_ address: String) throws {
        let lines = "127.0.0.1 localhost\n\(address) sentinels.test\n"
        let file = try FileHandle(forWritingTo: hosts)
        try file.truncate(atOffset: 0)
        try file.write(contentsOf: Data(lines.utf8))
        try file.close()
      }
      try Data().write(to: hosts)
      try write("127.0.0.1")
      let url = group.url.replacing("127.0.0.1", with: "sentinels.test")
      let launcher = [
        "unshare", "-m", "--propagation", "private", "/bin/sh", "-ec",
        "mount --bind '\(hosts.path)' /etc/hosts; exec \"$@\"", "sh",
      ]
      try await FailOver.startReplicas(
        deployment, ["WCH_REDIS_URL": url], launcher: launcher)
      for sentinel in group.sentinels { try await sentinel.restart(at: "127.0.0.2") }
      try write("127.0.0.2")
      for sentinel in group.sentinels { try await group.hasten(sentinel) }
      // The reader's own client knows addresses only, so it follows when it is refused.
      try await waitUntil("the sentinels know each other again", within: patience) {
        let reply = try await group.ask(group.sentinels[0], "SENTINEL", "CKQUORUM", "wch")
        return reply.text?.hasPrefix("OK 3") == true
      }
      let leader = try #require(try await deployment.leader())
      try await group.failOver()
      let next = try await group.waitForPrimary(otherThan: group.servers[0])
      for process in deployment.processes {
        try await waitUntil("\(process.instance) follows", within: .seconds(10)) {
          let primary = try await process.primary()
          let links = try await process.connections()
          return primary == "127.0.0.1:\(next.port)" && links["commands"] == true
        }
      }
      #expect(try await next.command("GET", "WCH_leader").text?.hasPrefix(leader.instance) == true)
      #expect(deployment.mints == 1)
    }
  }

  @Test("of many followers one leads next, and the sentinels have few connections of each")
  func manyFollowers() async throws {
    let count = ProcessInfo.processInfo.environment["WCH_FOLLOWERS"].flatMap { Int($0) } ?? 200
    try await Deployment.run(withSentinels: .init()) { deployment, group in
      let leader = try await deployment.start(count: 1, ["WCH_LOG_LEVEL": "notice"])
      for number in 1..<count {
        try deployment.start("f\(number)", ["WCH_LOG_LEVEL": "notice"])
      }
      for process in deployment.processes {
        try await process.waitForStatus(200, of: "/readyz", within: .seconds(180))
      }
      @Sendable func connections() async throws -> Int {
        var most = 0
        for sentinel in group.sentinels {
          let list = try await group.ask(sentinel, "CLIENT", "LIST").text ?? ""
          most = max(most, list.split(separator: "\n").count)
        }
        return most
      }
      print("connections at a sentinel: \(try await connections())")
      #expect(try await connections() < count * 2)
      try await deployment.withReader { reader in
        leader.kill()
        try await deployment.waitForLeader(otherThan: leader, within: .seconds(40))
        #expect(reader.deadReadings == 0 && reader.missingReadings == 0)
        try await group.failOver()
        let next = try await group.waitForPrimary(otherThan: group.servers[0])
        let start = ContinuousClock.now
        try await waitUntil("all have moved", within: patience) {
          try await group.clients(of: next, named: "wch-sidecar") >= (count - 1) * 2
        }
        print("\(count - 1) followers moved within \(ContinuousClock.now - start)")
        print("connections at a sentinel: \(try await connections())")
        #expect(try await connections() < count * 2)
        #expect(reader.deadReadings == 0)
        let leaders = deployment.processes.filter { process in
          process.log.contains { $0.fields["event"] == "lead.taken" }
        }
        #expect(leaders.count == 2 && leaders.first === leader)
      }
      #expect(deployment.mints == 1)
    }
  }
}
