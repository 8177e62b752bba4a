/// Clusters in URLs: several nodes, any of which knows the others.
extension RedisURLParser {
  /// More than these in a URL are a mistake; all are asked when no other node answers.
  private static let mostNodes = 16

  static func clusterEndpoint(
    hosts: Substring, path: Substring
  ) throws(RedisURLError) -> RedisEndpoint {
    let seeds = try addresses(hosts, defaultPort: RedisEndpoint.defaultPort)
    guard Set(seeds).count == seeds.count else { throw .nodeTwice }
    guard seeds.count <= mostNodes else { throw .tooManyNodes(limit: mostNodes) }
    if path.count > 1, try database(path.dropFirst()) != 0 { throw .databaseInCluster }
    return RedisEndpoint(cluster: seeds)
  }
}
