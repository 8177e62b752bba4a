import Crypto

/// A step of the protocol as Redis carries it out: whole, or not at all.
///
/// Every script is safe to repeat. Its first write is a `PERSIST` of a key that has no TTL: Redis
/// takes it when it is out of memory, and then lets the rest of the script through, and a
/// read-only replica refuses it instead of answering from stale data (both measured on 7.0.15).
package struct Script: Hashable, Sendable {
  package let name: String
  package let source: String
  /// What `EVALSHA` calls the script by.
  package let digest: String

  init(_ name: String, _ source: String) {
    self.name = name
    self.source = source
    digest = hexadecimal(Insecure.SHA1.hash(data: Array(source.utf8)))
  }

  /// The layout of the state that these scripts write and understand.
  package static let layout = 2

  /// Every script, for `SCRIPT LOAD` and for tests.
  package static let all: [Script] = [
    Steps.acquire.script, Steps.renew.script, Steps.release.script, Steps.look.script,
    Steps.takeOver.script, Steps.begin.script, Steps.resolve.script, Steps.commit.script,
    Steps.republish.script, Steps.mark.script, Steps.heartbeat.script, Steps.drain.script,
    Steps.read.script, Steps.shorten.script, Steps.place.script,
  ]
}
