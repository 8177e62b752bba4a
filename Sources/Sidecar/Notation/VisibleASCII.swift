/// Whether a text is one word of visible ASCII.
func isVisibleASCII(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7e).contains($0) }
}
