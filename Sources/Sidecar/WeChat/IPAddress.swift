#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Addresses that are written where a name may stand.
enum IPAddress {
  /// The four bytes of `127.0.0.1`; nil for anything else.
  static func v4(_ text: String) -> [UInt8]? { bytes(of: text, AF_INET, count: 4) }

  /// The sixteen bytes of `::1`; nil for anything else.
  static func v6(_ text: String) -> [UInt8]? { bytes(of: text, AF_INET6, count: 16) }

  private static func bytes(of text: String, _ family: CInt, count: Int) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    return unsafe inet_pton(family, text, &bytes) == 1 ? bytes : nil
  }
}
