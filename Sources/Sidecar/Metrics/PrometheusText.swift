/// Writes Prometheus's text format, version 0.0.4.
///
/// Source: prometheus.io, "Exposition formats".
struct PrometheusText {
  static let contentType = "text/plain; version=0.0.4; charset=utf-8"

  private(set) var text = ""

  /// Opens a family; its samples follow.
  mutating func begin(_ family: MetricFamily) {
    let help = family.help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    text += "# HELP \(family.name) \(help)\n# TYPE \(family.name) \(family.kind.word)\n"
  }

  mutating func sample(_ family: MetricFamily, _ values: [String], _ value: Double) {
    line(family.name, Array(zip(family.labels, values)), value)
  }

  mutating func histogram(
    _ family: MetricFamily, _ values: [String], _ buckets: [Double],
    _ snapshot: HistogramSeries.Snapshot
  ) {
    let labels = Array(zip(family.labels, values))
    var cumulative: UInt64 = 0
    for (bound, count) in zip(buckets, snapshot.counts) {
      cumulative += count
      line(family.name + "_bucket", labels + [("le", Self.number(bound))], Double(cumulative))
    }
    line(family.name + "_bucket", labels + [("le", "+Inf")], Double(snapshot.total))
    line(family.name + "_sum", labels, snapshot.sum)
    line(family.name + "_count", labels, Double(snapshot.total))
  }

  private mutating func line(_ name: String, _ labels: [(String, String)], _ value: Double) {
    text += name
    if !labels.isEmpty {
      text += "{"
      text += labels.map { "\($0.0)=\"\(Self.escaped($0.1))\"" }.joined(separator: ",")
      text += "}"
    }
    text += " \(Self.number(value))\n"
  }

  /// A name with every forbidden character replaced.
  static func name(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
      let isAllowed =
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || scalar == "_"
        || (("0"..."9").contains(scalar) && !result.isEmpty)
      result.unicodeScalars.append(isAllowed ? scalar : "_")
    }
    return result.isEmpty ? "_" : result
  }

  private static func escaped(_ value: String) -> String {
    var result = ""
    for scalar in value.unicodeScalars {
      switch scalar {
      case "\\": result += "\\\\"
      case "\"": result += "\\\""
      case "\n": result += "\\n"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
    // Whole numbers are written as such while a Double holds them exactly.
    if value == value.rounded(), abs(value) < 9_007_199_254_740_992 { return "\(Int64(value))" }
    return "\(value)"
  }
}
