// What a test asks a page; each function is called by name with one argument.
({
  // How far anything reaches beyond the window.
  overflow() {
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide <= 0) return [];
    return [...document.querySelectorAll("body *")]
      .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)
      .map(e => `${e.tagName}.${e.className} by ${wide} px`).slice(0, 5);
  },

  // Every text whose contrast is below WCAG 2.2 AA (1.4.3).
  contrast() {
    const parse = text => {
      const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
      return {r, g, b, a};
    };
    const over = (top, back) => ({
      r: top.r * top.a + back.r * (1 - top.a), g: top.g * top.a + back.g * (1 - top.a),
      b: top.b * top.a + back.b * (1 - top.a), a: 1});
    const light = c => [c.r, c.g, c.b].map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const backs = new Map();
    const behind = e => {
      if (!e) return {r: 255, g: 255, b: 255, a: 1};
      if (!backs.has(e)) {
        const style = getComputedStyle(e), own = parse(style.backgroundColor);
        if (style.backgroundImage !== "none" || Number(style.opacity) !== 1)
          throw Error("what this check cannot judge: " + e.className);
        backs.set(e, own.a === 1 ? own : over(own, behind(e.parentElement)));
      }
      return backs.get(e);
    };
    const bad = [];
    let count = 0;
    for (const e of document.querySelectorAll("body *")) {
      if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
      if (!e.checkVisibility() || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
      const style = getComputedStyle(e), back = behind(e);
      const [a, b] = [light(over(parse(style.color), back)), light(back)].sort((x, y) => y - x);
      const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize);
      const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      count++;
      if (ratio < (isLarge ? 3 : 4.5))
        bad.push(`${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`);
    }
    return {count, bad: bad.slice(0, 10)};
  },

  // What has the focus, and whether one sees it.
  focus() {
    const e = document.activeElement, style = getComputedStyle(e);
    return {
      place: [...document.querySelectorAll("*")].indexOf(e), tag: e.tagName,
      text: (e.getAttribute("aria-label") || e.textContent || e.id).trim().slice(0, 40),
      isSeen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2};
  },
})
