/// Why a command brought no replies.
package enum RedisError: Error, Hashable, Sendable {
  /// Not one byte of it was written: it did not happen, and may be sent again.
  case notSent(RedisFailure)
  /// It was written, or part of it may have been: it may have happened, or may happen yet.
  case outcomeUnknown(RedisFailure)

  /// What went wrong.
  package var failure: RedisFailure {
    switch self {
    case .notSent(let failure), .outcomeUnknown(let failure): failure
    }
  }
}

extension RedisError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notSent(let failure): "the command was not sent: \(failure)"
    case .outcomeUnknown(.deadlinePassed):
      "Redis did not answer in time (redisCommandTimeout); the command may have run all the same"
    case .outcomeUnknown(let failure): "the command's outcome is unknown: \(failure)"
    }
  }
}

/// What went wrong with a connection or a command; fit for a log.
package enum RedisFailure: Error, Hashable, Sendable {
  // Of commands
  /// There is no connection; with the failure that says why, when one is known.
  indirect case notConnected(RedisFailure?)
  /// At that node of a cluster.
  indirect case node(String, RedisFailure)
  case deadlinePassed
  case cancelled
  /// The client's `run()` has ended.
  case stopped
  case tooManyInFlight(limit: Int)
  case commandRefused(RedisCommandError)

  // Of connecting, each naming the step that failed or took too long
  case notResolved(host: String, reason: String)
  case lookUpTimedOut(host: String)
  case unreachable(String, reason: String)
  case connectTimedOut(String)
  case tls(RedisTLSFailure)
  /// The connection stands, and the server has not answered the first commands in time.
  case handshakeTimedOut(String)
  /// The password is missing or wrong, or the user is.
  case authenticationFailed(RedisServerError)
  /// The server answers, but cannot serve yet: it is loading, busy, or has lost its master.
  case notReady(RedisServerError)
  /// The server refused a command without which the connection is of no use.
  case refused(command: String, RedisServerError)
  /// The server sent a refusal unasked, as it does when it has too many clients.
  case refusedByServer(RedisServerError)

  // Of finding the primary
  /// Not one sentinel says where it is; with each one's trouble.
  case noSentinel([SentinelTrouble])
  /// The sentinels that answer watch no primary of that name.
  case primaryUnknown(String, sentinels: [String])
  /// The sentinels name different ones, and none may be asked which of them is right.
  case sentinelsDisagree([String])
  /// Only sentinels answer that have missed the last fail-over.
  case sentinelsBehind([String])
  /// Where the sentinels said is no primary: not yet, or no more.
  case notPrimary(String, role: String)
  /// The sentinels name another one by now.
  case primaryMoved(to: String)

  // Of finding the nodes of a cluster
  /// Not one node says which of them serves which slots; with each one's trouble.
  case noClusterNode([NodeTrouble])
  /// That server takes no part in a cluster.
  case notClustered(String)
  /// The cluster has nobody for that slot.
  case slotUnserved(Int)
  /// The node serves none of our slots any more, or has left the cluster.
  case nodeLeft(String)

  // Of connections
  case connectionLost(reason: String)
  /// The server closed the connection while nothing was asked, after so long a silence.
  case closedWhenSilent(Duration)
  /// The other side closes the connection whenever it is given these.
  case hungUp(commands: String)
  /// The connection leads to a server that its owner does not want.
  case unwanted(reason: String)
  case badReply(ReplyError)
  /// A reply came that no command had asked for.
  case unmatchedReply
  /// A command stayed unanswered for long after its deadline.
  case unresponsive
  /// The server refuses writes as a replica does: the primary may be elsewhere by now.
  case readOnly(RedisServerError)

  /// Whether the failure passes only when somebody acts (a password, a certificate).
  package var needsOperator: Bool {
    switch self {
    case .authenticationFailed, .refused, .refusedByServer, .tls, .notClustered: true
    case .notConnected(let failure): failure?.needsOperator ?? false
    case .node(_, let failure): failure.needsOperator
    case .noSentinel(let troubles): troubles.allSatisfy(\.failure.needsOperator)
    case .noClusterNode(let troubles): troubles.allSatisfy(\.failure.needsOperator)
    case .deadlinePassed, .cancelled, .stopped, .tooManyInFlight, .commandRefused, .notResolved,
      .lookUpTimedOut, .unreachable, .connectTimedOut, .handshakeTimedOut, .notReady,
      .connectionLost, .closedWhenSilent, .hungUp, .unwanted, .badReply, .unmatchedReply,
      .unresponsive, .readOnly, .primaryUnknown, .sentinelsDisagree, .sentinelsBehind, .notPrimary,
      .primaryMoved, .slotUnserved, .nodeLeft:
      false
    }
  }
}

extension RedisFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .notConnected(nil): "there is no connection to Redis yet"
    case .notConnected(let failure?): "there is no connection to Redis: \(failure)"
    case .node(let node, let failure): "node \(node): \(failure.reason(at: node))"
    case .deadlinePassed: "its deadline passed"
    case .cancelled: "it was cancelled"
    case .stopped: "the client has stopped"
    case .tooManyInFlight(let limit): "\(limit) commands are in flight already"
    case .commandRefused(let error): "\(error)"
    case .notResolved(let host, let reason):
      "the host name \(host) cannot be resolved: \(reason)"
    case .lookUpTimedOut(let host):
      "the look-up of the host name \(host) took too long: no name server answered in time"
    case .unreachable(let address, let reason): "cannot connect to \(address): \(reason)"
    case .connectTimedOut(let address): "connecting to \(address) took too long"
    case .handshakeTimedOut(let address):
      "\(address) took the connection, but did not answer as Redis in time"
    case .tls(let failure): "\(failure)"
    case .authenticationFailed(let error):
      "authentication failed, check user and password: \(error)"
    case .notReady(let error): "Redis is not ready: \(error)"
    case .refused(let command, let error): "Redis refused \(command): \(error)"
    case .refusedByServer(let error): "Redis refused the connection: \(error)"
    case .noSentinel(let troubles):
      "no sentinel can be asked where the primary is: "
        + Self.told(troubles.map { ($0.sentinel, $0.reason) })
    case .primaryUnknown(let name, let sentinels):
      "the sentinels do not know \(name) (asked: \(sentinels.joined(separator: ", "))): check"
        + " master= in the Redis URL against their `sentinel monitor`"
    case .sentinelsDisagree(let sentinels):
      "the sentinels \(sentinels.joined(separator: ", ")) name different primaries and refuse"
        + " SENTINEL MASTER, which tells who is right: permit it (`wch-sidecar acl --sentinel`)"
    case .sentinelsBehind(let sentinels):
      "only sentinels answer that have missed the last fail-over:"
        + " \(sentinels.joined(separator: ", "))"
    case .notPrimary(let address, let role):
      "\(address), which the sentinels name, is no primary (its role is \(role))"
    case .primaryMoved(let address): "its place is taken by \(address) now"
    case .noClusterNode(let troubles):
      "no node of the cluster can be asked which of them serves which slots: "
        + Self.told(troubles.map { ($0.node, $0.reason) })
    case .notClustered(let address):
      "\(address) takes no part in a cluster: write redis:// in place of redis-cluster://"
    case .slotUnserved(let slot):
      "no node of the cluster serves slot \(slot): `redis-cli --cluster check` shows what is"
        + " missing, `redis-cli --cluster fix` mends it"
    case .nodeLeft(let address): "\(address) serves none of our slots any more"
    case .connectionLost(let reason): "the connection was lost: \(reason)"
    // Without the time, so that the same trouble has the same words.
    case .closedWhenSilent: "the connection was lost: the server closed it while it was silent"
    case .hungUp(let commands):
      "the server, or a proxy before it, hangs up on \(commands)"
    case .unwanted(let reason): reason
    case .badReply(let error): "the server does not answer as Redis does: \(error)"
    case .unmatchedReply: "the server answered a command that was never sent"
    case .unresponsive: "the server left a command unanswered for too long"
    // Always the same words: what Redis adds differs with every script.
    case .readOnly:
      "the server takes no writes, as a replica does (READONLY); its name is looked up again"
    }
  }
}

extension RedisFailure {
  /// What is wrong with several places; what is the same is said once, of all of them.
  static func told(_ troubles: [(place: String, reason: String)]) -> String {
    var places: [String: [String]] = [:]
    var reasons: [String] = []
    for trouble in troubles {
      if places[trouble.reason] == nil { reasons.append(trouble.reason) }
      places[trouble.reason, default: []].append(trouble.place)
    }
    return reasons.map { reason in
      let places = places[reason] ?? []
      // The reason first: whoever shows only the beginning of a text shows that.
      return places.count == 1
        ? "\(places[0]): \(reason)" : "\(reason) (\(places.joined(separator: ", ")))"
    }.joined(separator: "; ")
  }

  /// The failure of a connection to a place that is named beside it.
  func reason(at place: String) -> String {
    switch self {
    case .unreachable(place, let reason): reason
    case .connectTimedOut(place): "connecting took too long"
    case .handshakeTimedOut(place): "took the connection, but did not answer as Redis in time"
    case .notClustered(place):
      "takes no part in a cluster: write redis:// in place of redis-cluster://"
    default: "\(self)"
    }
  }
}

extension SentinelTrouble {
  /// What is wrong with it.
  package var reason: String {
    switch failure {
    // What helps at a data node does not help here.
    case .authenticationFailed(let error):
      """
      \(error.withoutAdvice) (sentinels have a login of their own: sentinel_user in the URL, and \
      redisSentinelPassword)
      """
    case .tls(.notTLS), .tls(.handshakeTimedOut):
      "TLS: it does not speak TLS (sentinel_tls=off in the URL connects without)"
    default: failure.reason(at: sentinel)
    }
  }
}

/// Why a TLS connection was refused.
package enum RedisTLSFailure: Hashable, Sendable {
  /// Who says where a server is.
  package enum Reporter: Hashable, Sendable { case sentinels, cluster }

  /// The certificate is of another host.
  case wrongHostName(expected: String)
  /// So, where the host is as others report it.
  case wrongReportedName(expected: String, by: Reporter)
  /// The certificate, or one above it, is signed by nobody we trust.
  case unknownAuthority
  case expired
  case notYetValid
  /// The server wants a client certificate, or another one.
  case clientCertificateRefused
  /// A file of ours cannot be used.
  case file(path: String, reason: String)
  /// What the server speaks is not TLS.
  case notTLS
  /// The server took the connection and never showed a certificate, as one without TLS does.
  case handshakeTimedOut
  case other(String)
}

extension RedisTLSFailure: CustomStringConvertible {
  package var description: String {
    switch self {
    case .wrongHostName(let expected):
      "TLS: the server's certificate is not for \(expected) (server_name sets another name)"
    case .wrongReportedName(let expected, .cluster):
      "TLS: the node's certificate is not for \(expected), as the cluster reports it: let nodes"
        + " report names (`cluster-announce-hostname`, `cluster-preferred-endpoint-type hostname`),"
        + " or set server_name"
    case .wrongReportedName(let expected, .sentinels):
      "TLS: the primary's certificate is not for \(expected), as the sentinels report it: let them"
        + " report names (`sentinel resolve-hostnames yes`, `sentinel announce-hostnames yes`), or"
        + " set server_name"
    case .unknownAuthority:
      "TLS: the server's certificate is signed by an unknown authority (ca_file names one to trust)"
    case .expired: "TLS: the server's certificate has expired"
    case .notYetValid: "TLS: the server's certificate is not valid yet"
    case .clientCertificateRefused:
      "TLS: the server refused us without a client certificate it trusts (cert_file, key_file)"
    case .file(let path, let reason): "TLS: \(path): \(reason)"
    case .notTLS: "TLS: the server does not speak TLS (redis:// connects without)"
    case .handshakeTimedOut:
      "TLS: the server did not answer the handshake in time (does it speak TLS on this port?)"
    case .other(let reason): "TLS: \(reason)"
    }
  }
}
