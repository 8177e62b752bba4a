package import CoreMetrics
import Synchronization
package import TokenCore

/// Every metric of the process, behind swift-metrics, written out for Prometheus.
///
/// The families are those of `MetricFamily.table`. What a library measures under another name is
/// exported too, so that a test can tell that it is not documented.
package final class MetricsRegistry: MetricsFactory, Sendable {
  private enum Series {
    case counter(CounterSeries)
    case gauge(GaugeSeries)
    case histogram(HistogramSeries)
  }

  private struct Family {
    let definition: MetricFamily
    /// By label values in the order of the definition's labels.
    var series: [[String]: Series] = [:]
    /// The series as they are written out; nil when one has come since they were last put in order.
    private var inOrder: [(values: [String], series: Series)]?

    init(definition: MetricFamily) { self.definition = definition }

    /// The series ordered by their labels, which costs something only after new ones have come.
    mutating func ordered() -> [(values: [String], series: Series)] {
      if let inOrder { return inOrder }
      let sorted = series.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        .map { (values: $0.key, series: $0.value) }
      inOrder = sorted
      return sorted
    }

    /// Where that label stands among the values.
    func place(of label: String) -> Int? { definition.labels.firstIndex(of: label) }

    mutating func remove(where isGone: ([String]) -> Bool) {
      series = series.filter { !isGone($0.key) }
      inOrder = nil
    }

    /// The series with these label values, made when it is missing; nil when there are too many.
    mutating func seriesMade(with values: [String]) -> Series? {
      if let series = series[values] { return series }
      guard series.count < MetricsRegistry.seriesLimit else { return nil }
      let made: Series =
        switch definition.kind {
        case .counter: .counter(CounterSeries())
        case .gauge: .gauge(GaugeSeries())
        case .histogram(let buckets): .histogram(HistogramSeries(buckets: buckets))
        }
      series[values] = made
      inOrder = nil
      return made
    }
  }

  /// More series of one family than this are a mistake in a label; with 256 accounts the largest
  /// family has 40 an account.
  static let seriesLimit = 20_000
  /// More families than this are a mistake in a name.
  static let familyLimit = 200

  /// Protects the families and which series they have; the values have locks of their own.
  private let families: Mutex<[String: Family]>
  /// Protects whose series are gone: what comes late of an account must not bring them back.
  private let forgotten = Mutex<Set<String>>([])
  private let readProcess: @Sendable () -> ProcessFigures?

  package init(
    readProcess: @escaping @Sendable () -> ProcessFigures? = { ProcessFigures.current() }
  ) {
    self.readProcess = readProcess
    families = Mutex(
      Dictionary(
        uniqueKeysWithValues: MetricFamily.daemon.map { ($0.name, Family(definition: $0)) }))
  }

  /// Makes every series whose labels are known, so that a rate over the first event is seen.
  ///
  /// - Parameters:
  ///   - accounts: the credentials of all accounts that are kept at first.
  ///   - endpoints: where WeChat may be asked for that one.
  ///   - version: for `build_info`.
  ///   - redisCommands: the names by which commands and scripts are counted.
  ///   - routes: the routes of the HTTP interface, with what asks there.
  package func preregister(
    accounts: [CredentialID],
    endpoints: (CredentialID) -> [String] = { _ in MetricLabels.endpoints },
    version: String, redisCommands: [String] = [], routes: [(path: String, method: String)] = []
  ) {
    for family in MetricFamily.daemon where family.labels.isEmpty { touch(family, []) }
    preregister(accounts, endpoints: endpoints)
    for outcome in MetricLabels.refreshOutcomes { touch(.refreshRequests, [outcome]) }
    for command in redisCommands {
      for result in MetricLabels.commandResults { touch(.redisCommands, [command, result]) }
    }
    for condition in MetricLabels.conditions { touch(.condition, [condition, "", ""]) }
    for connection in MetricLabels.connections { touch(.redisConnectionUp, [connection]) }
    for route in routes { touch(.httpRequests, [route.path, route.method, "200"]) }
    set(.buildInfo, ["version": version], to: 1)
  }

  /// Makes every series of what is kept from now on.
  package func preregister(
    _ accounts: [CredentialID],
    endpoints: (CredentialID) -> [String] = { _ in MetricLabels.endpoints }
  ) {
    forgotten.withLock { $0.subtract(accounts.map(\.description)) }
    for credential in accounts {
      let account = credential.description
      for family in MetricFamily.daemon
      where family.labels == ["account"] && family != .hookDuration {
        touch(family, [account])
      }
      for trigger in MetricLabels.triggers {
        for result in MetricLabels.results { touch(.refreshes, [account, trigger, result]) }
      }
      for endpoint in endpoints(credential) {
        for code in MetricLabels.errorCodes {
          touch(.upstreamRequests, [account, endpoint, code])
        }
      }
    }
  }

  /// Lets the series of other software's layouts be there from the start.
  func preregister(layouts: [String], of credential: CredentialID) {
    for layout in layouts { touch(.foreignWrites, [credential.description, layout]) }
  }

  /// Lets the series of an account's file be there from the start.
  func preregister(fileOf account: CredentialID) {
    for result in MetricLabels.fileResults { touch(.fileWrites, [account.description, result]) }
  }

  /// Lets the series of a program that takes a credential be there from the start.
  func preregister(hookOf credential: CredentialID) {
    for result in MetricLabels.hookResults { touch(.hookRuns, [credential.description, result]) }
    touch(.hookDuration, [credential.description])
  }

  /// Takes away every series of an account that is no longer kept: others look as if it was.
  package func forget(_ account: CredentialID) {
    let name = account.description
    _ = forgotten.withLock { $0.insert(name) }
    families.withLock { families in
      for family in families.keys {
        guard let place = families[family]?.place(of: Self.accountLabel) else { continue }
        families[family]?.remove { $0[place] == name }
      }
    }
  }

  /// The label that says which account a series is about.
  private static let accountLabel = "account"

  // MARK: Recording

  /// Adds to a counter.
  package func increment(
    _ family: MetricFamily, _ labels: KeyValuePairs<String, String> = [:], by amount: Double = 1
  ) {
    guard case .counter(let series)? = series(family, Array(labels)) else { return }
    series.increment(by: amount)
  }

  /// Sets a gauge.
  package func set(
    _ family: MetricFamily, _ labels: KeyValuePairs<String, String> = [:], to value: Double
  ) {
    guard case .gauge(let series)? = series(family, Array(labels)) else { return }
    series.set(value)
  }

  /// Sets those series of a gauge, by their label values in the order of its labels, and all others
  /// that it has to 0: a series that has been there does not vanish.
  package func set(_ family: MetricFamily, to values: [[String]: Double]) {
    let others = families.withLock { families in
      families[family.name]?.series.filter { values[$0.key] == nil }.map(\.value) ?? []
    }
    for case .gauge(let series) in others { series.set(0.0) }
    for (labels, value) in values {
      guard case .gauge(let series)? = series(family, Array(zip(family.labels, labels))) else {
        continue
      }
      series.set(value)
    }
  }

  /// Observes a duration in a histogram of seconds.
  package func observe(
    _ family: MetricFamily, _ labels: KeyValuePairs<String, String> = [:], _ duration: Duration
  ) {
    guard case .histogram(let series)? = series(family, Array(labels)) else { return }
    series.record(duration.inSeconds)
  }

  // MARK: swift-metrics

  package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    counter(label, dimensions)
  }

  package func makeFloatingPointCounter(
    label: String, dimensions: [(String, String)]
  ) -> any FloatingPointCounterHandler {
    counter(label, dimensions)
  }

  package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
    gauge(label, dimensions)
  }

  package func makeRecorder(
    label: String, dimensions: [(String, String)], aggregate: Bool
  ) -> any RecorderHandler {
    aggregate ? histogram(label, dimensions) : gauge(label, dimensions)
  }

  package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
    histogram(label, dimensions)
  }

  // A series outlives whoever counts in it: a counter that vanishes looks like a restart.
  package func destroyCounter(_: any CounterHandler) {}
  package func destroyFloatingPointCounter(_: any FloatingPointCounterHandler) {}
  package func destroyMeter(_: any MeterHandler) {}
  package func destroyRecorder(_: any RecorderHandler) {}
  package func destroyTimer(_: any TimerHandler) {}

  private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries {
    let family = definition(label, dimensions, kind: .counter)
    guard case .counter(let series)? = series(family, dimensions) else { return CounterSeries() }
    return series
  }

  private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
    let family = definition(label, dimensions, kind: .gauge)
    guard case .gauge(let series)? = series(family, dimensions) else { return GaugeSeries() }
    return series
  }

  private func histogram(_ label: String, _ dimensions: [(String, String)]) -> HistogramSeries {
    let buckets = [0.001, 0.01, 0.1, 1, 10]
    let family = definition(label, dimensions, kind: .histogram(buckets: buckets))
    guard case .histogram(let series)? = series(family, dimensions) else {
      return HistogramSeries(buckets: buckets)
    }
    return series
  }

  /// The documented family of a label, or one made up from how it is first used.
  private func definition(
    _ label: String, _ dimensions: [(String, String)], kind: MetricFamily.Kind
  ) -> MetricFamily {
    let name = PrometheusText.name(label)
    return families.withLock { $0[name]?.definition }
      ?? MetricFamily(
        name, kind, labels: dimensions.map { PrometheusText.name($0.0) },
        "Measured by a library.")
  }

  private func touch(_ family: MetricFamily, _ values: [String]) {
    _ = series(family, Array(zip(family.labels, values)))
  }

  /// The series with these labels, made when it is missing; nil when there are too many.
  private func series(
    _ family: MetricFamily, _ labels: some Sequence<(String, String)>
  ) -> Series? {
    let given = Dictionary(labels.map { (PrometheusText.name($0.0), $0.1) }) { $1 }
    let values = family.labels.map { given[$0] ?? "" }
    if let account = given[Self.accountLabel], forgotten.withLock({ $0.contains(account) }) {
      return nil
    }
    return families.withLock { families in
      if families[family.name] == nil {
        guard families.count < Self.familyLimit else { return nil }
        families[family.name] = Family(definition: family)
      }
      return families[family.name]?.seriesMade(with: values)
    }
  }

  // MARK: Exposition

  /// Everything in Prometheus's text format, version 0.0.4.
  package func exposition() -> String {
    let known = families.withLock { families in
      Array(families.keys).compactMap {
        name -> (definition: MetricFamily, series: [(values: [String], series: Series)])? in
        guard let definition = families[name]?.definition else { return nil }
        return (definition: definition, series: families[name]?.ordered() ?? [])
      }
    }
    let order = Dictionary(
      uniqueKeysWithValues: MetricFamily.table.enumerated().map { ($1.name, $0) })
    let sorted = known.sorted {
      (order[$0.definition.name] ?? .max, $0.definition.name)
        < (order[$1.definition.name] ?? .max, $1.definition.name)
    }
    var text = PrometheusText()
    for family in sorted {
      text.begin(family.definition)
      for (values, series) in family.series {
        switch series {
        case .counter(let counter): text.sample(family.definition, values, counter.value)
        case .gauge(let gauge): text.sample(family.definition, values, gauge.value)
        case .histogram(let histogram):
          text.histogram(family.definition, values, histogram.buckets, histogram.snapshot)
        }
      }
    }
    if let figures = readProcess() {
      for (family, value) in figures.samples {
        text.begin(family)
        text.sample(family, [], value)
      }
    }
    return text.text
  }
}
