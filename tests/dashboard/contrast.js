// Every visible text with its contrast to what is behind it (WCAG 2.1), also inside components and charts.
() => {
  const parse = (color) => {
    const own = (color || "").match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0, 0];
    if (color.startsWith("color(srgb")) return [255 * own[0], 255 * own[1], 255 * own[2], own[3] ?? 1];
    return [own[0], own[1], own[2], own[3] ?? 1];
  };
  const over = (top, below) => [0, 1, 2].map((n) => top[n] * top[3] + below[n] * (1 - top[3]));
  const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  const ancestors = (node) => { const all = []; for (let at = node; at; at = parentOf(at)) all.push(at); return all; };
  const isBehind = (at, x, y) => {
    const box = at.getBoundingClientRect();
    if (/auto|scroll|hidden/.test(getComputedStyle(at).overflow)) return true; // what is scrolled out of sight is on it too
    return box.left <= x && x <= box.right && box.top <= y && y <= box.bottom;
  };
  const background = (node) => {
    const box = node.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    const behind = ancestors(node).reverse().filter((at) => at === node || isBehind(at, x, y));
    return behind.reduce((below, at) => over(parse(getComputedStyle(at).backgroundColor), below), [255, 255, 255]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((n) => n / 255).map((n) => (n <= 0.03928 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = [];
  const visit = (root) => {
    for (const node of root.querySelectorAll("*")) {
      if (node.shadowRoot) visit(node.shadowRoot);
      const own = [...node.childNodes].filter((child) => child.nodeType === 3).map((child) => child.textContent.trim()).join("");
      const style = getComputedStyle(node), box = node.getBoundingClientRect();
      if (!own || ["STYLE", "SCRIPT", "TITLE", "DESC"].includes(node.nodeName.toUpperCase()) || node.closest("[disabled], [aria-disabled=true]")) continue;
      if (style.visibility !== "visible" || style.clipPath !== "none" || !box.width || !box.height || box.bottom <= 0) continue;
      if (/Material/.test(style.fontFamily)) continue;
      const opacity = ancestors(node).reduce((left, at) => left * Number(getComputedStyle(at).opacity), 1);
      if (opacity === 0) continue;
      const behind = background(node);
      const ink = parse(node instanceof SVGElement ? style.fill : style.color);
      const seen = over([...ink.slice(0, 3), ink[3] * opacity], behind);
      const [dim, bright] = [light(seen), light(behind)].sort((a, b) => a - b);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      texts.push({ text: own.slice(0, 60), contrast: (bright + 0.05) / (dim + 0.05), least: large ? 3 : 4.5 });
    }
  };
  visit(document.querySelector("[data-testid=stApp]"));
  return texts;
}
