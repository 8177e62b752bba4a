import Foundation
import RedisClient
import TestSupport
import Testing
import WeChatSimulator

/// Something that goes wrong in a deployment, made for real.
enum Trouble: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case wrongSecret, addressNotListed, quota, busy, html, stalled, answersLost, foreignFetches
  case redisDown, wrongPassword, readOnly, outOfMemory, noPermission, otherAppID, newerLayout
  case frozenLeader, noLeader, endlessLock, sameName, lameReports, clockOff, certificateBad
  case secretGone, oneOfTwelve, limitReached, keyLapsed, settingsStale, sentinelsDown
  case noScripts, outputForbidden
  case fileUnwritable, programFails
  case slotGone, expirySlotGone

  /// The trouble in the words of the record.
  var testDescription: String {
    switch self {
    case .wrongSecret: "the AppSecret is wrong (40125)"
    case .addressNotListed: "the address is not on the IP list (40164)"
    case .quota: "the day's calls are used up (45009)"
    case .busy: "WeChat is busy (-1)"
    case .html: "something answers with a page of HTML"
    case .stalled: "WeChat takes requests and never answers"
    case .answersLost: "WeChat mints, and its answers are lost"
    case .foreignFetches: "another party fetches tokens of the account"
    case .redisDown: "Redis is down"
    case .wrongPassword: "Redis's password was changed"
    case .readOnly: "Redis is a replica (READONLY)"
    case .outOfMemory: "Redis's memory is used up (OOM)"
    case .noPermission: "the Redis user may not run scripts (NOPERM)"
    case .otherAppID: "the keys are another AppID's"
    case .newerLayout: "a newer version wrote the record"
    case .frozenLeader: "the leader's process stands still"
    case .noLeader: "nobody can take the lock (NOREPLICAS)"
    case .endlessLock: "the lock has no time limit"
    case .sameName: "two replicas have one name"
    case .lameReports: "the connection for reports cannot be made again"
    case .clockOff: "this machine's clock is slow"
    case .certificateBad: "the HTTP interface's certificate was overwritten"
    case .secretGone: "the secret's file is gone"
    case .oneOfTwelve: "one of twelve accounts is refused"
    case .limitReached: "a report meets a limit"
    case .keyLapsed: "the token's life is over while WeChat is busy"
    case .settingsStale: "the settings' file was broken, and SIGHUP was sent"
    case .sentinelsDown: "no sentinel answers"
    case .noScripts: "a proxy before Redis takes no scripts any more"
    case .outputForbidden: "the Redis user may not write a key of other software"
    case .fileUnwritable: "the directory of the token's file is gone"
    case .programFails: "the program that takes the token fails"
    case .slotGone: "no node of the cluster serves the lock's slot"
    case .expirySlotGone: "no node of the cluster serves the slot of the expiry"
    }
  }

  /// What both replicas must tell, and what only the leader can.
  var expected: (everywhere: Set<String>, leader: Set<String>, follower: Set<String>) {
    switch self {
    case .wrongSecret, .addressNotListed, .quota, .busy, .html, .stalled, .answersLost:
      (["no_token", "refresh_failing"], [], [])
    case .foreignFetches: (["foreign_refresh"], [], [])
    case .redisDown: (["redis_away"], [], [])
    case .wrongPassword: (["redis_login"], [], [])
    case .readOnly, .noLeader: (["redis_writes"], [], [])
    // Scripts that keep tokens run all the same, and applications can read.
    case .outOfMemory: ([], [], [])
    case .noPermission: (["redis_permission"], [], [])
    case .otherAppID: (["foreign_app"], [], [])
    case .newerLayout: (["newer_layout"], [], [])
    case .frozenLeader: ([], [], ["replica_silent"])
    case .endlessLock: (["lock_endless"], [], [])
    case .sameName: (["shared_name"], [], [])
    case .lameReports: ([], ["connection_lame"], [])
    case .clockOff: (["clock_off"], [], [])
    case .certificateBad: ([], ["certificate_unusable"], [])
    case .secretGone: (["secret_unusable"], [], [])
    case .oneOfTwelve: (["no_token", "refresh_failing"], [], [])
    case .limitReached: (["report_held"], [], [])
    case .keyLapsed: (["no_token", "refresh_failing"], [], [])
    case .settingsStale: ([], ["settings_stale"], [])
    case .sentinelsDown: (["primary_unknown"], [], [])
    case .noScripts: (["redis_scripts"], [], [])
    case .outputForbidden: (["output_forbidden"], [], [])
    case .fileUnwritable: (["file_unwritten"], [], [])
    case .programFails: (["hook_failing"], [], [])
    case .slotGone: (["slots_unserved"], [], [])
    case .expirySlotGone: (["output_unreached"], ["slots_unserved"], [])
    }
  }
}

/// A deployment with a trouble in it.
struct Scene: Sendable {
  /// Who led when the trouble began, as far as anybody did.
  let leader: SidecarProcess
  let follower: SidecarProcess?
}

extension Trouble {
  /// How long a token lives here.
  var life: Milliseconds { self == .keyLapsed ? 8000 : 7_200_000 }
  /// How long a replaced one goes on working.
  var grace: Milliseconds { self == .foreignFetches ? 100 : 300_000 }

  /// Runs the body with what the trouble needs.
  func run<Result: Sendable>(
    _ body: @escaping @Sendable (Deployment) async throws -> Result
  ) async throws -> Result {
    if self == .slotGone || self == .expirySlotGone {
      var options = ClusterGroup.Options()
      if self == .expirySlotGone { options.keys = .plain }
      options.isAlone = true
      options.serverArguments = ["--cluster-require-full-coverage", "no"]
      return try await Deployment.run(
        withCluster: options, alone: false, life: life, grace: grace
      ) { deployment, _ in try await body(deployment) }
    }
    guard let sentinels else {
      return try await Deployment.run(
        life: life, grace: grace, behind: self == .noScripts ? StrictProxy.Rules() : nil, body)
    }
    return try await Deployment.run(
      withSentinels: sentinels, alone: false, life: life, grace: grace
    ) { deployment, _ in try await body(deployment) }
  }

  /// One sentinel that watches the Redis; nil: there are none.
  private var sentinels: SentinelGroup.Options? {
    guard self == .sentinelsDown else { return nil }
    var options = SentinelGroup.Options()
    options.replicas = 0
    options.sentinels = 1
    return options
  }

  /// Makes the trouble: replicas `a` and `b`, of which `a` leads where anybody can.
  func make(in deployment: Deployment) async throws -> Scene {
    let brisk = Deployment.brisk
    switch self {
    case .wrongSecret:
      return try await deployment.hopeless(["WCH_APPSECRET": String(repeating: "0", count: 32)])
    case .addressNotListed:
      return try await deployment.hopeless(
        fault: .errorCode(
          40164, message: "invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist"))
    case .quota: return try await deployment.hopeless(fault: .errorCode(45009))
    case .busy: return try await deployment.hopeless(fault: .errorCode(-1))
    case .html: return try await deployment.hopeless(fault: .html)
    case .stalled: return try await deployment.hopeless(fault: .holdBeforeMint)
    case .answersLost: return try await deployment.hopeless(fault: .mintThenDrop)
    case .foreignFetches:
      let scene = try await deployment.healthy(["WCH_PROBE": "1s"])
      for _ in 0..<2 {
        try await deployment.waitForLiveToken()
        let before = try await scene.leader.metric("wechat_token_foreign_refreshes_total")
        deployment.simulator.schedule(.foreignToken, for: Deployment.appID)
        try await waitUntil("the death of the token is met", within: patience) {
          try await scene.leader.metric("wechat_token_foreign_refreshes_total") > before
        }
      }
      return scene
    case .redisDown:
      let scene = try await deployment.healthy()
      deployment.redis.kill()
      return scene
    case .wrongPassword:
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">old", "~*", "&*", "+@all")
      let scene = try await deployment.healthy(["WCH_REDIS_URL": deployment.url(of: "app:old")])
      try await deployment.ask("ACL", "SETUSER", "app", "resetpass", ">new")
      try await deployment.ask("CLIENT", "KILL", "USER", "app")
      return scene
    case .readOnly:
      let scene = try await deployment.healthy()
      try await deployment.ask("REPLICAOF", "127.0.0.1", "1")
      return scene
    case .outOfMemory:
      let scene = try await deployment.healthy()
      try await deployment.ask("CONFIG", "SET", "maxmemory", "1mb")
      return scene
    case .noPermission:
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">old", "~*", "&*", "+@all")
      let scene = try await deployment.healthy(["WCH_REDIS_URL": deployment.url(of: "app:old")])
      try await deployment.ask("ACL", "SETUSER", "app", "-evalsha", "-eval")
      return scene
    case .otherAppID:
      try deployment.start("theirs", brisk)
      try await deployment.waitForLiveToken()
      let other = brisk.merging(["WCH_APPID": "wxother", "WCH_APPSECRET": Deployment.secret]) { $1 }
      return Scene(
        leader: try deployment.start("a", other), follower: try deployment.start("b", other))
    case .newerLayout:
      let scene = try await deployment.healthy()
      try await deployment.ask("HSET", Deployment.record, "v", "99")
      return scene
    case .frozenLeader:
      let scene = try await deployment.healthy()
      scene.leader.pause()
      return scene
    case .noLeader:
      let scene = try await deployment.healthy()
      try await deployment.ask("CONFIG", "SET", "min-replicas-to-write", "1")
      return scene
    case .endlessLock:
      let scene = try await deployment.healthy()
      try await deployment.ask("SET", "WCH_leader", "stranger:1")
      return scene
    case .sameName:
      let first = try deployment.start("a", brisk)
      try await deployment.waitForLiveToken()
      return Scene(
        leader: first,
        follower: try deployment.start("b", brisk.merging(["WCH_INSTANCE": "a"]) { $1 }))
    case .lameReports:
      let scene = try await deployment.healthy()
      try await deployment.ask("CONFIG", "SET", "maxclients", "1")
      try await waitUntil("the connection for reports is gone", within: patience) {
        let list = try await deployment.ask("CLIENT", "LIST").text ?? ""
        let ids = list.split(separator: "\n").filter { $0.contains("cmd=blpop") }
          .compactMap { $0.split(separator: " ").first?.dropFirst(3) }
        for id in ids { try await deployment.ask("CLIENT", "KILL", "ID", String(id)) }
        return ids.isEmpty
      }
      return scene
    case .clockOff:
      deployment.simulator.advance(by: 90_000)
      return try await deployment.healthy()
    case .certificateBad:
      let certificate = try deployment.file("http.pem", FixedCertificates.localhost)
      let key = try deployment.file("http.key", FixedCertificates.localhostKey)
      let scene = try await deployment.healthy(
        leader: ["WCH_HTTP_TLS_CERT_FILE": certificate, "WCH_HTTP_TLS_KEY_FILE": key])
      _ = try deployment.file("http.pem", "-----BEGIN NOTHING-----")
      return scene
    case .secretGone:
      let secret = try deployment.file("secret", Deployment.secret)
      let scene = try await deployment.healthy(
        ["WCH_APPSECRET": "", "WCH_APPSECRET_FILE": secret])
      try FileManager.default.removeItem(atPath: secret)
      return scene
    case .oneOfTwelve:
      let (settings, _) = try deployment.accounts(count: 12, life: life)
      deployment.simulator.setFault(.errorCode(40125), appID: "wxa7", count: nil)
      return try await deployment.healthy(settings)
    case .limitReached:
      let scene = try await deployment.healthy()
      for _ in 0..<2 {
        let token = try await deployment.waitForLiveToken()
        try await deployment.ask("RPUSH", "WCH_refresh_requests", token)
        // The second one comes within half a minute of the first.
        if deployment.mints == 1 {
          try await waitUntil("another token", within: patience) {
            try await deployment.token() != token
          }
        }
      }
      return scene
    case .keyLapsed:
      let scene = try await deployment.healthy()
      deployment.simulator.setFault(.errorCode(-1), count: nil)
      return scene
    case .settingsStale:
      let file = try deployment.file("settings.json5", "{ renew: \"1s\" }")
      let scene = try await deployment.healthy(["WCH_CONFIG": file, "WCH_RENEW": ""])
      _ = try deployment.file("settings.json5", "{ renew: \"1s")
      scene.leader.hangUp()
      return scene
    case .noScripts:
      let scene = try await deployment.healthy()
      deployment.proxy?.rules = .without("EVAL", "EVALSHA")
      return scene
    case .outputForbidden:
      try await deployment.ask("ACL", "SETUSER", "app", "on", ">old", "~WCH_*", "&*", "+@all")
      return try await deployment.healthy([
        "WCH_REDIS_URL": deployment.url(of: "app:old"), "WCH_OUTPUTS": "wechatpy",
      ])
    case .sentinelsDown:
      let scene = try await deployment.healthy()
      for sentinel in deployment.sentinels?.sentinels ?? [] { sentinel.kill() }
      return scene
    case .fileUnwritable:
      let directory = deployment.redis.directory.appendingPathComponent("files")
      try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
      let file = directory.appendingPathComponent("token.json").path
      let scene = try await deployment.healthy(["WCH_FILE": file])
      try await waitUntil("the file is there", within: patience) {
        FileManager.default.fileExists(atPath: file)
      }
      try FileManager.default.removeItem(at: directory)
      return scene
    case .programFails: return try await deployment.healthy(["WCH_EXEC": "/bin/false"])
    case .slotGone:
      let scene = try await deployment.healthy()
      let slot = HashSlot(of: ClusterGroup.Keys.named.lock).number
      try await deployment.redis.command("CLUSTER", "DELSLOTS", "\(slot)")
      return scene
    case .expirySlotGone:
      let scene = try await deployment.healthy()
      let slot = HashSlot(of: ClusterGroup.Keys.plain.expiry).number
      try await deployment.redis.command("CLUSTER", "DELSLOTS", "\(slot)")
      return scene
    }
  }
}

extension Deployment {
  /// Two replicas and a live token; `a` leads.
  fileprivate func healthy(
    _ settings: [String: String] = [:], leader: [String: String] = [:]
  ) async throws -> Scene {
    let all = Deployment.brisk.merging(settings) { $1 }
    let first = try start("a", all.merging(leader) { $1 })
    try await waitForLiveToken()
    let second = try start("b", all)
    try await second.waitForStatus(200, of: "/readyz")
    return Scene(leader: first, follower: second)
  }

  /// Two replicas that get no token; `a` is there first.
  fileprivate func hopeless(
    _ settings: [String: String] = [:], fault: Fault? = nil
  ) async throws -> Scene {
    if let fault { simulator.setFault(fault, count: nil) }
    let all = Deployment.brisk.merging(settings) { $1 }
    let first = try start("a", all)
    try await waitForLeader()
    return Scene(leader: first, follower: try start("b", all))
  }

  fileprivate func url(of user: String) -> String { "redis://\(user)@127.0.0.1:\(redis.port)/0" }

  /// Writes a file beside Redis's own; returns its path.
  fileprivate func file(_ name: String, _ text: String) throws -> String {
    let file = redis.directory.appendingPathComponent(name)
    try Data(text.utf8).write(to: file)
    return file.path
  }
}
