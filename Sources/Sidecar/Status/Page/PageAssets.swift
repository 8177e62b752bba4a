import Crypto
import FoundationEssentials

/// What the page has beside its content: style, script, sign, and the policy that allows only
/// these.
enum PageAssets {
  /// The status page's policy.
  static let policy = policy(style: sheet, script: script)

  /// Only this style and this script, by their hashes; the script may ask this server alone.
  ///
  /// No text can become markup by the script: it takes documents that the browser parsed.
  static func policy(style: StaticString, script: StaticString? = nil) -> String {
    "default-src 'none'; style-src '\(hash(style))';"
      + (script.map { " script-src '\(hash($0))'; connect-src 'self';" } ?? "")
      + " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
      + " require-trusted-types-for 'script'; trusted-types 'none'"
  }

  /// Changes with style and script: an open page of another form is loaded anew.
  static let form = String(hash("\(sheet)\(script)").dropFirst(7).prefix(12))

  private static func hash(_ text: StaticString) -> String { hash("\(text)") }

  private static func hash(_ text: String) -> String {
    "sha256-" + Data(SHA256.hash(data: Data(text.utf8))).base64EncodedString()
  }

  /// The sign in the browser's tab, different in shape and colour.
  static func icon(_ tone: EventLog.Tone) -> String {
    let (color, path) =
      switch tone {
      case .good: ("0b6b3f", "M4 8.5l3 3 5-6")
      case .calm: ("525d6b", "M4 8h8")
      case .notice: ("1a5a9c", "M8 7v5.5M8 3.5v1")
      case .warning: ("8a4a00", "M8 3.5v5.5M8 11.5v1")
      case .error, .critical: ("a81818", "M5 5l6 6M11 5l-6 6")
      }
    return "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
      + "%3Ccircle cx='8' cy='8' r='8' fill='%23\(color)'/%3E%3Cpath d='\(path)' fill='none'"
      + " stroke='white' stroke-width='2'/%3E%3C/svg%3E"
  }

  static let sheet: StaticString = """
    :root{color-scheme:light dark;--back:#f4f6f8;--card:#fff;--text:#17202b;--soft:#525d6b;
    --line:#dde2e8;--good:#0b6b3f;--good-back:#e4f4eb;--warn:#8a4a00;--warn-back:#fdf1dc;
    --bad:#b01c1c;--bad-back:#fdeaea;--note:#1a5a9c;--note-back:#e7f0fb;--alarm:#a81818;
    --bar:#e3e7ec;--fill:#2a9d67;--margin:#d9772b;--link:#1a5a9c}
    @media(prefers-color-scheme:dark){:root{--back:#0f141a;--card:#171e27;--text:#e7ebf0;
    --soft:#a0abb9;--line:#2a3441;--good:#52d196;--good-back:#11291e;--warn:#f3bd59;
    --warn-back:#2e2411;--bad:#ff9a91;--bad-back:#381a1b;--note:#8bbdf7;--note-back:#142740;
    --alarm:#8f1c1c;--bar:#2b3542;--fill:#38b27a;--margin:#d9772b;--link:#8bbdf7}}
    *{box-sizing:border-box}
    html{scroll-behavior:smooth;scroll-padding-top:1rem}
    @media(prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
    body{margin:0;background:var(--back);color:var(--text);overflow-wrap:anywhere;
    font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"PingFang SC","Microsoft YaHei",
    "Noto Sans CJK SC","Noto Sans",sans-serif;font-variant-numeric:tabular-nums}
    header,main,footer{max-width:78rem;margin:0 auto;padding:0 clamp(1rem,3vw,2.25rem)}
    h1,h2,h3,p,ul,ol,dl,dd{margin:0;padding:0}ul,ol{list-style:none}
    h1{font-size:clamp(1.4rem,1.05rem + 1.7vw,2.15rem);line-height:1.2;font-weight:680;
    letter-spacing:-.01em;text-wrap:balance}
    h2{font-size:1.05rem;font-weight:650;margin:0 0 .75rem}
    h3{font-size:1rem;font-weight:650}
    .number{color:var(--soft);font-weight:450}
    a{color:var(--link);text-underline-offset:.2em}
    :focus-visible{outline:3px solid var(--link);outline-offset:2px;border-radius:.3rem}
    code{font:.92em ui-monospace,"SF Mono",Menlo,Consolas,monospace}
    .small{font-size:.85rem;color:var(--soft)}
    .sign{font-weight:700}
    .unscripted{display:inline}.scripted{display:none}
    .js .unscripted{display:none}.js .scripted{display:inline}
    [hidden]{display:none!important}
    header{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;
    gap:.4rem 1.5rem;padding-top:1.1rem;padding-bottom:1.1rem}
    .where{color:var(--soft)}
    nav{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;font-size:.95rem}
    nav a{padding:.15rem 0}nav .language{font-weight:600}
    .stale{flex-basis:100%;background:var(--text);color:var(--back);padding:.8rem 1.1rem;
    border-radius:.7rem;margin-top:.4rem}
    .old main{filter:grayscale(1)}
    .verdict{display:flex;gap:1.25rem;border-radius:1.1rem;padding:clamp(1.1rem,2.6vw,2rem);
    margin-bottom:2rem}
    .verdict>.sign{flex:none;display:grid;place-items:center;width:3.2rem;height:3.2rem;
    border-radius:50%;font-size:1.6rem;line-height:1}
    .words{min-width:0;flex:1}
    .verdict.good{background:var(--good-back)}.verdict.good h1{color:var(--good)}
    .verdict.notice{background:var(--note-back)}.verdict.notice h1{color:var(--note)}
    .verdict.warning{background:var(--warn-back)}.verdict.warning h1{color:var(--warn)}
    .verdict.calm{background:var(--card);border:1px solid var(--line)}
    .verdict.critical{background:var(--alarm);color:#fff}
    .verdict.error{background:var(--bad-back);box-shadow:inset 0 0 0 2px var(--bad)}
    .verdict.error h1{color:var(--bad)}.verdict a{color:inherit}
    .good>.sign{color:var(--good)}.notice>.sign{color:var(--note)}
    .warning>.sign{color:var(--warn)}.error>.sign,.critical>.sign{color:var(--bad)}
    .calm>.sign{color:var(--soft)}
    .verdict.good>.sign{background:var(--good);color:var(--good-back)}
    .verdict.notice>.sign{background:var(--note);color:var(--note-back)}
    .verdict.warning>.sign{background:var(--warn);color:var(--warn-back)}
    .verdict.calm>.sign{background:var(--bar);color:var(--text)}
    .verdict.error>.sign{background:var(--bad);color:var(--bad-back)}
    .verdict.critical>.sign{background:#fff;color:#a81818}
    .verdict .small{color:inherit}
    .cause{margin-top:.6rem}.cause+.cause{margin-top:1.2rem;padding-top:1.1rem;
    border-top:1px solid currentColor}
    .when{font-size:1.02rem}.whom{font-weight:650}
    .answers{margin:.7rem 0 .5rem;display:grid;gap:.35rem}
    .answers div{display:grid;grid-template-columns:5.2rem minmax(0,1fr);gap:.75rem}
    .answers dt{font-weight:650}
    .verdict .answers{font-size:1.05rem}
    .outlook{margin-top:.9rem}.verdict.good .outlook{margin-top:.5rem}
    #conditions{margin-bottom:2rem}
    .cards{display:grid;gap:.9rem;
    grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr))}
    .card,.account,.side section,#timeline{background:var(--card);border:1px solid var(--line);
    border-radius:.9rem;padding:1rem 1.15rem}
    .card{border-left:.35rem solid var(--line)}
    .card.notice{border-left-color:var(--note)}.card.warning{border-left-color:var(--warn)}
    .card.error,.card.critical{border-left-color:var(--bad)}
    .mark .sign{margin-right:.4rem}.mark{font-size:.85rem;font-weight:650;margin-bottom:.2rem}
    .card.notice .mark{color:var(--note)}.card.warning .mark{color:var(--warn)}
    .card.error .mark,.card.critical .mark{color:var(--bad)}
    .card .answers{font-size:.95rem}.card .when{font-size:.92rem;color:var(--soft)}
    .columns{display:grid;gap:2rem;align-items:start}
    .side{display:grid;gap:1.1rem;min-width:0}.wide{display:grid;gap:2rem;min-width:0}
    @media(min-width:66rem){.columns{grid-template-columns:minmax(0,1fr) 23rem}}
    .search{margin:0 0 .9rem}.js .search{display:flex;flex-wrap:wrap;align-items:center;gap:.7rem}
    .search label{font-weight:600}
    .search input{font:inherit;color:inherit;background:var(--card);padding:.45rem .8rem;
    border:1px solid var(--soft);border-radius:.6rem;width:min(100%,18rem)}
    #found{color:var(--soft)}
    .accounts{display:grid;gap:.8rem;align-items:start;
    grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr))}
    .account.error,.account.critical{border-color:var(--bad);grid-column:1/-1}
    .account.warning{border-color:var(--warn);grid-column:1/-1}
    .top{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.1rem 1rem}
    .state{font-weight:600;font-size:.92rem}
    .account.good .state{color:var(--good)}.account.notice .state{color:var(--note)}
    .account.warning .state{color:var(--warn)}
    .account.error .state,.account.critical .state{color:var(--bad)}
    .state .sign{color:inherit;margin-right:.4rem}
    .bar{height:.5rem;margin:.55rem 0 .5rem;border-radius:.25rem;overflow:hidden;
    background:var(--bar)}
    .bar svg{display:block;width:100%;height:100%}
    .bar .left{fill:var(--fill)}.bar .margin{fill:var(--margin)}.bar .tick{fill:var(--card)}
    .critical .bar{outline:1px solid var(--bad)}
    .life{display:flex;flex-wrap:wrap;gap:0 .9rem;font-size:.9rem;color:var(--soft)}
    .life strong{color:var(--text);font-weight:650}
    .trouble{font-size:.92rem;margin-top:.35rem}
    details{margin-top:.35rem;font-size:.9rem}
    summary{cursor:pointer;color:var(--link);width:fit-content;padding:.15rem 0}
    .facts{display:grid;gap:.4rem;font-size:.92rem}
    details .facts{margin-top:.4rem;font-size:.9rem}
    .facts div{display:grid;grid-template-columns:minmax(7rem,2fr) minmax(0,3fr);gap:.75rem}
    .facts dt{color:var(--soft)}
    .leader{margin-bottom:.6rem}
    .replica{padding:.6rem 0;border-top:1px solid var(--line)}
    .replica .top{align-items:baseline}
    .role{font-size:.85rem;color:var(--soft)}.role.leads{color:var(--good);font-weight:650}
    .silent strong,.silent .role{color:var(--warn)}
    .events{font-size:.92rem;margin-top:.5rem}
    .event{display:flex;gap:.6rem;padding:.3rem 0}
    .event .sign{flex:none;width:1rem;text-align:center}
    .event time{color:var(--soft)}.detail{color:var(--soft)}
    footer{margin-top:2rem;padding-bottom:2.5rem;color:var(--soft);font-size:.88rem;
    display:flex;flex-wrap:wrap;justify-content:space-between;gap:.3rem 1.5rem}
    @media(max-width:34rem){.verdict{flex-direction:column;gap:.8rem}
    .verdict>.sign{width:2.6rem;height:2.6rem;font-size:1.3rem}
    .answers div{grid-template-columns:minmax(0,1fr);gap:0}}
    @media(forced-colors:active){.bar{border:1px solid}.bar .left{fill:Highlight}}
    """

  static let script: StaticString = """
    (()=>{"use strict";
    const root=document.documentElement,find=id=>document.getElementById(id);
    root.classList.add("js");
    const lang=root.lang,units=root.dataset.units.split("|");
    const format=options=>new Intl.DateTimeFormat(lang,options);
    const clock=format({hour:"2-digit",minute:"2-digit",second:"2-digit",hourCycle:"h23"});
    const day=format({year:"numeric",month:"2-digit",day:"2-digit"});
    const whole=format({dateStyle:"full",timeStyle:"long"});
    const short=format({timeZoneName:"short"}).formatToParts(new Date())
    .find(part=>part.type==="timeZoneName").value;
    const area=format().resolvedOptions().timeZone;
    const zone=area&&area!==short?area+" ("+short+")":short;
    let skew=0,missed=false,timer=0,title=document.title;
    const now=()=>Date.now()+skew;
    const put=(element,text)=>{if(element.textContent!==text)element.textContent=text};
    const two=(a,x,b,y)=>b?a+x+" "+b+y:a+x;
    const span=s=>{s=Math.max(0,Math.floor(s));
    const m=Math.floor(s/60),h=Math.floor(s/3600),d=Math.floor(s/86400);
    return m<1?s+units[0]:h<1?m+units[1]:d<1?two(h,units[2],m%60,units[1]):
    two(d,units[3],h%24,units[2])};
    const count=scope=>{const t=now()/1000;
    for(const e of scope.querySelectorAll("[data-ago]"))put(e,span(t-e.dataset.ago));
    for(const e of scope.querySelectorAll("[data-in]"))put(e,span(e.dataset.in-t))};
    const sift=scope=>{const box=find("filter");if(!box)return;
    const wanted=box.value.trim().toLowerCase();let n=0,all=0;
    for(const e of scope.querySelectorAll("#list>li")){all++;
    e.hidden=!e.dataset.name.toLowerCase().includes(wanted);if(!e.hidden)n++}
    const found=scope.querySelector("#found");if(found)put(found,wanted?n+" / "+all:"")};
    const prepare=scope=>{
    for(const e of scope.querySelectorAll("time")){const at=new Date(e.dateTime);
    put(e,(Math.abs(at-now())<432e5?"":day.format(at)+" ")+clock.format(at));
    e.title=whole.format(at)}
    for(const e of scope.querySelectorAll("[data-zone]"))put(e,zone);
    count(scope);sift(scope)};
    const follow=(have,want)=>{if(have.isEqualNode(want))return;
    if(have.nodeType!==1){if(have.data!==want.data)have.data=want.data;return}
    for(const name of have.getAttributeNames())
    if(name!=="open"&&!want.hasAttribute(name))have.removeAttribute(name);
    for(const name of want.getAttributeNames())
    if(name!=="open"&&have.getAttribute(name)!==want.getAttribute(name))
    have.setAttribute(name,want.getAttribute(name));
    const named=new Map();for(const e of have.children)if(e.id)named.set(e.id,e);
    let here=have.firstChild;
    for(const next of[...want.childNodes]){
    const same=next.id?named.get(next.id):
    here&&!here.id&&here.nodeName===next.nodeName?here:null;
    if(!same){have.insertBefore(document.importNode(next,true),here);continue}
    if(same===here)here=here.nextSibling;else have.insertBefore(same,here);
    follow(same,next)}
    while(here){const next=here.nextSibling;here.remove();here=next}};
    const mark=()=>{find("stale").hidden=!missed;root.classList.toggle("old",missed);
    put(find("alert"),missed?find("alert-text").textContent:"");
    const text=(missed?"⌛ ":"")+title;if(document.title!==text)document.title=text};
    const take=page=>{const from=page.documentElement;
    skew=from.dataset.now-Date.now();
    root.dataset.now=from.dataset.now;root.dataset.every=from.dataset.every;
    title=page.title;const icon=page.querySelector("#icon").getAttribute("href");
    if(find("icon").getAttribute("href")!==icon)find("icon").setAttribute("href",icon);
    prepare(page);const focus=document.activeElement;
    follow(document.body,page.body);
    if(focus&&focus!==document.activeElement&&focus.isConnected)
    focus.focus({preventScroll:true})};
    const poll=()=>{clearTimeout(timer);const call=new XMLHttpRequest();
    call.open("GET",location.pathname+location.search);
    call.responseType="document";call.timeout=8000;
    call.onloadend=()=>{const page=call.status===200?call.responseXML:null;
    missed=!page||!page.documentElement.dataset.form;
    if(!missed&&page.documentElement.dataset.form!==root.dataset.form)return location.reload();
    if(!missed)take(page);mark();const every=Number(root.dataset.every);
    clearTimeout(timer);
    timer=setTimeout(poll,1000*(missed?2:document.hidden?Math.max(30,every):every))};
    call.send()};
    skew=root.dataset.now-Date.now();prepare(document);
    document.addEventListener("input",e=>{if(e.target.id==="filter")sift(document)});
    document.addEventListener("visibilitychange",()=>{if(!document.hidden)poll()});
    setInterval(()=>count(document),1000);
    timer=setTimeout(poll,1000)})();
    """
}
