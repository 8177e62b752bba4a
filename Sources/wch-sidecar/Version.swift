/// The program's version, as `--version`, the status page and `build_info` tell it.
enum Version {
  static let current = "0.1.0"
}
