/// The variables that Kubernetes puts into every container for the Services of its namespace.
///
/// A Service called `wch` brings `WCH_SERVICE_HOST`, `WCH_PORT`, `WCH_PORT_2130_TCP` and more,
/// which look like settings of ours. For any X with `X_SERVICE_HOST` in the environment the
/// family is `X_SERVICE_*`, `X_PORT` and `X_PORT_*`; nothing else is one
/// (Settings.md#what-is-taken-and-what-is-not).
struct ServiceLinks {
  private let families: [Substring]

  init(environment: some Sequence<String>) {
    families = environment.compactMap { name in
      let mark = "_SERVICE_HOST"
      guard name.hasSuffix(mark), name.count > mark.count else { return nil }
      return name.dropLast(mark.count)
    }
  }

  /// Whether the variable belongs to a Service's family.
  func contains(_ variable: String) -> Bool {
    families.contains { family in
      guard variable.hasPrefix(family) else { return false }
      let rest = variable.dropFirst(family.count)
      return rest.hasPrefix("_SERVICE_") || rest == "_PORT" || rest.hasPrefix("_PORT_")
    }
  }
}
