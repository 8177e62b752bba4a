/// The runbook as a page of the daemon, in one language.
struct RunbookPage {
  let language: Language

  var document: String {
    HTML(.html, ["lang": language.tag]) {
      HTML(.head) {
        HTML(.meta, ["charset": "utf-8"])
        HTML(.meta, ["name": "viewport", "content": "width=device-width, initial-scale=1"])
        HTML(.title) { "\(Runbook.title(language)) · wch-sidecar" }
        HTML(.link, ["rel": "icon", "href": PageAssets.icon(.calm)])
        HTML.style(Self.sheet)
      }
      HTML(.body) {
        HTML(.header) {
          HTML(.h1) { Runbook.title(language) }
          HTML(.p) { Self.text(Runbook.introduction(language)) }
          HTML(.p) {
            HTML(.a, ["href": "/"]) { language == .english ? "Status" : "状态" }
            " · "
            HTML(.a, ["href": "?lang=\(language.other.rawValue)", "lang": language.other.tag]) {
              language.other.name
            }
          }
        }
        HTML(.nav, ["aria-label": language == .english ? "Contents" : "目录"]) {
          for section in Runbook.sections { contents(of: section) }
        }
        HTML(.main) {
          for section in Runbook.sections { written(section) }
        }
      }
    }.document
  }

  private func contents(of section: Runbook.Section) -> HTML {
    HTML(.section) {
      HTML(.h2) { HTML(.a, ["href": "#\(section.anchor)"]) { section.title(language) } }
      HTML(.ul) {
        for entry in section.entries {
          HTML(.li) { HTML(.a, ["href": "#\(entry.anchor)"]) { entry.title(language) } }
        }
      }
    }
  }

  private func written(_ section: Runbook.Section) -> HTML {
    HTML(.section, ["id": section.anchor]) {
      HTML(.h2) { section.title(language) }
      HTML(.p) { Self.text(section.introduction(language)) }
      for entry in section.entries { written(entry) }
    }
  }

  private func written(_ entry: Runbook.Entry) -> HTML {
    HTML(.section, ["id": entry.anchor, "class": "entry"]) {
      HTML(.h3) {
        entry.title(language)
        " "
        HTML(.a, ["href": "#\(entry.anchor)", "class": "anchor"]) { "#\(entry.anchor)" }
      }
      HTML(.dl) {
        for part in entry.parts {
          HTML(.dt) { part.name(language) }
          HTML(.dd) { Self.text(part.text(language)) }
        }
      }
    }
  }

  /// Text in which what stands between backticks is code.
  private static func text(_ text: String) -> HTML {
    let pieces = text.split(separator: "`", omittingEmptySubsequences: false)
    return .joined(
      pieces.enumerated().map { index, piece in
        index.isMultiple(of: 2) ? HTML(String(piece)) : HTML(.code) { String(piece) }
      })
  }

  static let sheet: StaticString = """
    :root{color-scheme:light dark;--line:#d0d5dd;--soft:#475467;--back:#fff;--text:#1d2939;
    --link:#175cd3;--code:#f2f4f7;--mark:#fef7c3}
    @media(prefers-color-scheme:dark){:root{--line:#344054;--soft:#98a2b3;--back:#12171f;
    --text:#e4e7ec;--link:#84adff;--code:#1d2430;--mark:#3b2f0b}}
    *{box-sizing:border-box}body{margin:0 auto;padding:1.5rem 1.25rem 6rem;max-width:52rem;
    background:var(--back);color:var(--text);
    font:16px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
    h1{font-size:1.6rem;margin:0}h2{font-size:1.25rem;margin:2rem 0 .5rem}
    h3{font-size:1.05rem;margin:0 0 .35rem;overflow-wrap:anywhere}a{color:var(--link)}
    nav{columns:18rem;border-block:1px solid var(--line);padding:.5rem 0;font-size:.9rem}
    nav h2{margin:.75rem 0 .25rem;font-size:1rem}nav ul{margin:0;padding-left:1.1rem}
    nav section{break-inside:avoid-column}nav li{overflow-wrap:anywhere}
    .entry{border-top:1px solid var(--line);padding:1rem 0}.entry:target{background:var(--mark)}
    .anchor{font-weight:400;font-size:.8rem;text-decoration:none}
    dl{margin:0}dt{color:var(--soft);font-size:.85rem;margin-top:.4rem}dd{margin:0}
    code{background:var(--code);border-radius:.25rem;padding:.05rem .3rem;font-size:.88em;
    overflow-wrap:anywhere}
    """
}
