// swift-tools-version: 6.2
import PackageDescription

/// Every Swift target is built with the same strict settings (deploy/CONTRIBUTING.md says why).
let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let lifecycle: Target.Dependency = .product(
  name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(
  name: "UnixSignals", package: "swift-service-lifecycle")
let arguments: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

/// The steps at Redis, and what they have in common.
let scripts = [
  "time", "record", "acquire", "renew", "release", "look", "takeover", "begin", "resolve", "commit",
  "republish", "mark", "heartbeat", "drain", "read", "shorten", "place",
]

let package = Package(
  name: "wch-sidecar",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "wch-sidecar", targets: ["wch-sidecar"]),
    .library(name: "WeChatSimulator", targets: ["WeChatSimulator"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
  ],
  targets: [
    .target(name: "CEarlySignals"),
    .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
    .target(name: "Hiredis", dependencies: ["CHiredis"], swiftSettings: strict),
    .target(name: "Dialing", dependencies: [nio, nioPosix], swiftSettings: strict),
    .target(
      name: "RedisClient", dependencies: ["Dialing", "Hiredis", nio, nioPosix, nioSSL, log],
      swiftSettings: strict),
    .target(name: "TokenCore", swiftSettings: strict),
    .target(
      name: "Sidecar",
      dependencies: [
        "Dialing", "RedisClient", "TokenCore", nio, nioPosix, nioHTTP1, nioSSL, log, crypto,
        lifecycle, signals,
        .product(name: "Metrics", package: "swift-metrics"),
        .product(name: "CoreMetrics", package: "swift-metrics"),
      ], resources: scripts.map { .embedInCode("Store/Steps/\($0).lua") }, swiftSettings: strict),
    .target(
      name: "WeChatSimulator", dependencies: [nio, nioPosix, nioHTTP1, nioSSL],
      swiftSettings: strict),
    .executableTarget(
      name: "wch-sidecar",
      dependencies: [
        "CEarlySignals", "Sidecar", "RedisClient", "TokenCore", "WeChatSimulator", nio, nioPosix,
        log, arguments,
      ],
      swiftSettings: strict,
      linkerSettings: [
        // Swift links programs as if plug-ins looked names up in them: 4 MB of names for nobody.
        // The libraries that deploy/build puts there as archives are not loaded at each start.
        .unsafeFlags(
          [
            "-Xlinker", "--no-export-dynamic", "-Xlinker", "--gc-sections",
            "-L", "\(Context.packageDirectory)/.build/archives", "-Xclang-linker",
            "-static-libgcc",
          ],
          .when(platforms: [.linux], configuration: .release))
      ]),

    .target(
      name: "TestSupport",
      dependencies: ["WeChatSimulator", "RedisClient", nio, nioPosix, nioSSL],
      path: "Tests/TestSupport", swiftSettings: strict),
    .target(
      name: "Simulation", dependencies: ["TokenCore"], path: "Tests/Simulation",
      swiftSettings: strict),
    .executableTarget(
      name: "simulate", dependencies: ["Simulation", arguments], path: "Tests/simulate",
      swiftSettings: strict),
    .target(
      name: "Exploration", dependencies: ["Simulation", "TokenCore"], path: "Tests/Exploration",
      swiftSettings: strict),
    .executableTarget(
      name: "explore", dependencies: ["Exploration", "Simulation", arguments],
      path: "Tests/explore", swiftSettings: strict),
    .testTarget(
      name: "ExplorationTests", dependencies: ["Exploration", "Simulation"],
      swiftSettings: strict),
    .target(
      name: "Sweeps", dependencies: ["Hiredis", "RedisClient", "Sidecar", "TokenCore"],
      path: "Tests/Sweeps", swiftSettings: strict),
    .executableTarget(
      name: "sweep", dependencies: ["Sweeps", arguments], path: "Tests/sweep",
      swiftSettings: strict),
    .testTarget(name: "SweepTests", dependencies: ["Sweeps"], swiftSettings: strict),
    .executableTarget(
      name: "client-benchmark",
      dependencies: ["CHiredis", "RedisClient", arguments, log, nioPosix],
      path: "Tests/client-benchmark", swiftSettings: strict),
    .testTarget(
      name: "DialingTests", dependencies: ["Dialing", "TestSupport", nio, nioPosix],
      swiftSettings: strict),
    .testTarget(name: "HiredisTests", dependencies: ["Hiredis"], swiftSettings: strict),
    .testTarget(
      name: "RedisClientTests", dependencies: ["RedisClient", "TestSupport", nioSSL],
      swiftSettings: strict),
    .testTarget(name: "TokenCoreTests", dependencies: ["TokenCore"], swiftSettings: strict),
    .testTarget(
      name: "SidecarTests",
      dependencies: [
        "Dialing", "Sidecar", "RedisClient", "TokenCore", "WeChatSimulator", "TestSupport",
        "Simulation", "Sweeps", nio, nioPosix, nioSSL, log,
      ], swiftSettings: strict),
    .testTarget(
      name: "SimulationTests", dependencies: ["Simulation"], swiftSettings: strict),
    .testTarget(
      name: "WeChatSimulatorTests", dependencies: ["WeChatSimulator", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "ProcessTests",
      dependencies: [
        "TestSupport", "RedisClient", "WeChatSimulator", "wch-sidecar", nio, nioPosix,
      ], exclude: ["Troubles/Troubles.md"], swiftSettings: strict),
    .testTarget(
      name: "AttackTests",
      dependencies: [
        "TestSupport", "Dialing", "RedisClient", "Sidecar", "Sweeps", "TokenCore",
        "WeChatSimulator", "wch-sidecar", nio, nioPosix, log,
      ], swiftSettings: strict),
    .testTarget(name: "TidyTests", swiftSettings: strict),
  ]
)
