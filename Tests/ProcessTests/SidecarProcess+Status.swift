import Foundation
import TestSupport

extension SidecarProcess {
  /// What `/v1/status` tells.
  func status() async throws -> [String: Any] {
    let answer = try await get("/v1/status")
    let object = try JSONSerialization.jsonObject(with: Data(answer.body.utf8))
    return object as? [String: Any] ?? [:]
  }
}
