import Glibc

/// A connection to this host with nothing in between: it sends half a request, reads nothing, or
/// resets, as no HTTP client would.
///
/// Whoever makes one closes it; nothing blocks but what is given a limit.
package struct RawSocket: Sendable {
  /// What a look at the connection found.
  package enum Received: Hashable, Sendable {
    case bytes([UInt8])
    /// The other side has ended its direction.
    case end
    /// The connection was reset, or never came to be.
    case reset
    /// Nothing came in the time given.
    case nothing
  }

  /// No descriptor was to be had.
  package struct Failure: Error, CustomStringConvertible {
    package let description: String
  }

  /// The events of poll(2) for the end of the other side's direction, which glibc hides.
  private static let otherSideEnded: CInt = 0x2000
  /// What is taken at once.
  private static let longestRead = 1 << 16

  package let descriptor: CInt

  /// Begins to connect to a port of 127.0.0.1.
  ///
  /// - Parameter receiveBuffer: bytes that the kernel takes for us unread.
  package init(port: Int, receiveBuffer: CInt? = nil) throws {
    let kind = SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
    descriptor = socket(AF_INET, CInt(kind), 0)
    guard descriptor >= 0 else { throw Failure(description: "no socket: errno \(errno)") }
    if var size = receiveBuffer {
      unsafe setsockopt(
        descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    // What becomes of it is seen by the first look.
    _ = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        unsafe connect(descriptor, $0, size)
      }
    }
  }

  /// Waits until the connection is there; false when it was refused or did not come.
  package func isConnected(within limit: Duration) -> Bool {
    waitFor(CInt(POLLOUT), within: limit) & CInt(POLLOUT | POLLERR | POLLHUP) == CInt(POLLOUT)
  }

  /// Sends what the kernel takes at once.
  ///
  /// - Returns: how many bytes; nil when the connection is gone.
  package func send(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard !bytes.isEmpty else { return 0 }
    let count = unsafe bytes.withUnsafeBytes { buffer in
      unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, CInt(MSG_NOSIGNAL))
    }
    if count >= 0 { return count }
    return [EAGAIN, EINTR, ENOTCONN].contains(errno) ? 0 : nil
  }

  /// Sends all of it; false when the connection is gone or takes it not in that time.
  package func sendAll(_ bytes: [UInt8], within limit: Duration) -> Bool {
    let deadline = ContinuousClock.now + limit
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let count = send(rest) else { return false }
      rest = rest.dropFirst(count)
      let left = deadline - .now
      guard rest.isEmpty || left > .zero else { return false }
      if count == 0 { _ = waitFor(CInt(POLLOUT), within: left) }
    }
    return true
  }

  /// Waits for the next bytes.
  package func receive(within limit: Duration) -> Received {
    let deadline = ContinuousClock.now + limit
    while true {
      var buffer = [UInt8](repeating: 0, count: Self.longestRead)
      let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
      if count > 0 { return .bytes(Array(buffer.prefix(count))) }
      if count == 0 { return .end }
      guard [EAGAIN, EINTR].contains(errno) else { return .reset }
      let left = deadline - .now
      guard left > .zero else { return .nothing }
      _ = waitFor(CInt(POLLIN), within: left)
    }
  }

  /// Ends our direction.
  package func endSending() { shutdown(descriptor, CInt(SHUT_WR)) }

  /// Gives the connection up, by a reset if so wanted.
  package func close(resetting: Bool = false) {
    if resetting {
      var none = linger(l_onoff: 1, l_linger: 0)
      unsafe setsockopt(
        descriptor, SOL_SOCKET, SO_LINGER, &none, socklen_t(MemoryLayout<linger>.size))
    }
    _ = Glibc.close(descriptor)
  }

  /// Which of these the other side has given up, without reading from any.
  package static func ended(_ sockets: [RawSocket]) -> [Bool] {
    var looks = sockets.map {
      pollfd(fd: $0.descriptor, events: Int16(otherSideEnded), revents: 0)
    }
    unsafe poll(&looks, nfds_t(looks.count), 0)
    return looks.map { $0.revents != 0 }
  }

  private func waitFor(_ events: CInt, within limit: Duration) -> CInt {
    var look = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    unsafe poll(&look, 1, CInt(clamping: Int64(max(.zero, limit) / .milliseconds(1)) + 1))
    return CInt(look.revents)
  }
}
