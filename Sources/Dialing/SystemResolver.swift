import NIOCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The operating system's resolver: `getaddrinfo`, with all that is configured behind it.
enum SystemResolver {
  /// The most addresses of a name that are of use; a hostile answer has thousands.
  static let addressLimit = 16

  /// Looks a name up; blocks until the system has an answer or gives up.
  ///
  /// Without `AI_ADDRCONFIG`, as curl does it: where a machine has only loopback, it would find
  /// nothing at all, and an address without a route fails at once and costs nothing.
  static func resolve(_ name: String, _ family: Dialer.Family) -> NameLookUps.Answer {
    switch family {
    case .any: lookUp(name, AF_UNSPEC)
    case .ipv4: lookUp(name, AF_INET)
    case .ipv6: lookUp(name, AF_INET6)
    }
  }

  /// The address that a host is, in any spelling that the C library knows; nil for a name.
  ///
  /// Never blocks: `127.0.0.1`, `127.1`, `0x7f.1`, `::1`, and `fe80::1%eth0` with a zone by name or
  /// number.
  static func address(_ host: String) -> SocketAddress? {
    if case .addresses(let addresses) = lookUp(host, AF_UNSPEC, AI_NUMERICHOST) {
      return addresses.first
    }
    // The C library takes a zone by name of link-local addresses only. Others need none.
    let parts = host.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, unsafe if_nametoindex(String(parts[1])) != 0,
      case .addresses(let addresses) = lookUp(String(parts[0]), AF_INET6, AI_NUMERICHOST)
    else { return nil }
    return addresses.first
  }

  private static func lookUp(
    _ name: String, _ family: CInt, _ flags: CInt = 0
  ) -> NameLookUps.Answer {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = family
    unsafe hints.ai_flags = flags
    #if canImport(Glibc)
      unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    #else
      unsafe hints.ai_socktype = SOCK_STREAM
    #endif
    var list: UnsafeMutablePointer<addrinfo>? = nil
    errno = 0
    let code = unsafe getaddrinfo(name, nil, &hints, &list)
    let number = errno
    guard code == 0 else { return .failure(reason: reason(code, errno: number)) }
    defer { unsafe freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var entry = unsafe list
    while let current = unsafe entry?.pointee, addresses.count < addressLimit {
      unsafe entry = current.ai_next
      guard let raw = unsafe UnsafeRawPointer(current.ai_addr) else { continue }
      let address: SocketAddress? =
        switch unsafe current.ai_family {
        case AF_INET: unsafe SocketAddress(raw.load(as: sockaddr_in.self))
        case AF_INET6: unsafe SocketAddress(raw.load(as: sockaddr_in6.self))
        default: nil
        }
      if let address, !addresses.contains(address) { addresses.append(address) }
    }
    return addresses.isEmpty ? .failure(reason: "it has no address") : .addresses(addresses)
  }

  private static func reason(_ code: CInt, errno number: CInt) -> String {
    switch code {
    case EAI_NONAME: "there is no such name"
    case EAI_AGAIN: "no name server gave an answer"
    case EAI_FAIL: "the name server refused"
    case EAI_SYSTEM where number == EMFILE || number == ENFILE: "too many open files (ulimit -n)"
    case EAI_SYSTEM: "errno \(number)"
    default: unsafe gai_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
    }
  }
}

extension Dialer.Family {
  /// Whether an address is of it.
  func includes(_ address: SocketAddress) -> Bool {
    switch self {
    case .any: true
    case .ipv4: address.protocol == .inet
    case .ipv6: address.protocol == .inet6
    }
  }
}

extension SocketAddress {
  /// `address:port`, with brackets around IPv6.
  package var shown: String {
    switch self {
    case .v4: "\(ipAddress ?? "?"):\(port ?? 0)"
    case .v6: "[\(ipAddress ?? "?")]:\(port ?? 0)"
    case .unixDomainSocket: pathname ?? "?"
    }
  }
}
