import Testing

/// What nobody uses, and the compiler keeps.
@Suite("Declarations are used")
struct DeclarationTests {
  /// What nobody here names, and others call: NIO, Metrics, ArgumentParser and Swift itself.
  private static let calledByOthers: Set = [
    "InboundOut", "OutboundOut", "channelActive", "channelInactive", "channelRead",
    "channelReadComplete", "errorCaught", "handlerAdded", "handlerRemoved",
    "userInboundEventTriggered",
    "decrement", "destroyCounter", "destroyFloatingPointCounter", "destroyMeter",
    "destroyRecorder", "destroyTimer", "makeCounter", "makeFloatingPointCounter", "makeMeter",
    "makeRecorder", "makeTimer", "recordNanoseconds",
    "Main", "validate", "buildArray", "buildBlock", "buildEither", "buildExpression",
    "buildOptional", "callAsFunction", "customMirror", "enqueue", "intValue",
  ]
  /// What is only written, into JSON, or only compared.
  private static let readAsAWhole: Set = [
    "Body.grant_type", "Body.appid", "Body.force_refresh", "CodingKeys.retryAfter",
    "CodingKeys.sha256", "Group.isHeard",
  ]
  /// What is said of the keeper as data, for tests and the simulation to hold it to.
  private static let comparedByTests: Set = [
    "Kind.successors", "WorkSteps.after", "WorkSteps.formUnion",
  ]

  /// Members of one name are told apart by their types only where a type is named.
  @Test("what is declared is used, by more than tests")
  func nothingIsDead() throws {
    let files = try SwiftSource.all(under: "Sources")
    let uses = Dictionary(grouping: files.flatMap { $0.1.uses }, by: \.name)
    let ofProtocols = files.flatMap { $0.1.declarations }.filter(\.isOfProtocol)
    let required = Set(ofProtocols.map(\.name))
    let protocols = Set(ofProtocols.compactMap(\.owner))
    var count = 0
    for (path, source) in files {
      for declaration in source.declarations
      where !declaration.isOpenToAll && !Self.calledByOthers.contains(declaration.name) {
        count += 1
        let name = [declaration.owner, declaration.name].compactMap(\.self).joined(separator: ".")
        // A member of a type may be asked of a type that is a value.
        let isOfSome =
          required.contains(declaration.name) || protocols.contains(declaration.owner ?? "")
        let isUsed =
          uses[declaration.name]?.contains {
            $0.mayBe(declaration) || isOfSome && $0.base == .value
          } ?? false
        #expect(
          isUsed || Self.readAsAWhole.contains(name) || Self.comparedByTests.contains(name),
          "\(path):\(declaration.line) \(name) is dead")
      }
    }
    #expect(count > 3000)
  }
}

extension SwiftSource.Use {
  /// Whether it may be of that, of all that have the name.
  fileprivate func mayBe(_ declaration: SwiftSource.Declaration) -> Bool {
    guard let owner = declaration.owner else { return true }
    if base == .none {
      return declaration.kind == .type || declaration.isOfProtocol || within.contains(owner)
    }
    switch declaration.kind {
    case .ofValue: return base == .value || base == .type("Self")
    case .ofType: return base == .nothing || base == .type("Self") || base == .type(owner)
    case .type: return base != .value
    }
  }
}
