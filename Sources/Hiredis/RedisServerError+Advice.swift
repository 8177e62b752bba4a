extension RedisServerError.Kind {
  /// What a refusal comes from, and what helps; nil where nobody needs to act, or where nothing is
  /// known but the server's words.
  ///
  /// The one table of them: whatever shows a refusal shows this.
  package var advice: (cause: String, remedy: String)? {
    switch self {
    case .readOnly:
      ("this server is a replica", "name the primary, or the sentinels, in the Redis URL")
    case .masterDown:
      (
        "a replica that has lost its primary",
        "name the primary, or the sentinels, in the Redis URL"
      )
    case .loading: ("it is reading its data from disk", "it is tried again until that is done")
    case .outOfMemory:
      ("maxmemory is reached, and nothing may be evicted", "raise maxmemory, or remove keys")
    case .noPermission:
      (
        "its ACL does not allow this user a key, channel or command",
        "`wch-sidecar acl` prints all that is needed"
      )
    case .noAuth:
      ("it wants a password, and was given none", "set redisPassword, or put it into the Redis URL")
    case .wrongPassword:
      (
        "user or password is wrong, or the user is off",
        "compare redisUsername and redisPassword with `ACL GETUSER`"
      )
    case .noReplicas:
      (
        "fewer replicas are there and in time than min-replicas-to-write asks for",
        "bring them back: `INFO replication` lists them"
      )
    case .misconfigured:
      (
        "it cannot write to its disk, and takes no writes therefore",
        "look at its log and at its disk"
      )
    case .busy:
      ("somebody's script runs too long there", "`SCRIPT KILL` ends it")
    case .unkillable:
      ("a script that has written runs too long there", "wait, or end the server")
    case .moved, .ask:
      (
        "this is one node of a Redis Cluster, and the key is on another",
        "write redis-cluster:// in the Redis URL"
      )
    case .crossSlot:
      (
        "the keys of a step are in several slots of a cluster",
        "steps are split then; named accounts need no splitting"
      )
    case .clusterDown:
      (
        "the cluster does not serve this slot",
        "`redis-cli --cluster check` tells which node is away"
      )
    case .tryAgain:
      ("a slot is being moved", "it is tried again; if it lasts, `redis-cli --cluster fix`")
    case .wrongType:
      ("a key holds another type", "find out who writes to it, and delete it")
    case .unknownCommand:
      (
        "this server, or a proxy before it, does not have it or lets nobody give it",
        "undo its rename-command, or use a Redis that has it"
      )
    case .unknownInScript:
      (
        "a command that scripts need is missing here or has another name",
        "undo its rename-command, or use a Redis that has it"
      )
    case .wrongProtocol:
      (
        "it does not speak this version of the protocol",
        "use Redis 6 or later, and look at what stands before it"
      )
    case .tooManyClients:
      ("maxclients is reached", "raise it, or find out by `CLIENT LIST` who holds connections")
    case .protectedMode:
      (
        "it has no password, and lets in nobody from another machine",
        "give its users passwords there"
      )
    case .noScript, .other: nil
    }
  }
}
