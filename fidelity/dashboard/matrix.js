// The matrix of sizes and formats: a table whose cells are buttons. All texts reach the page through textContent.
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const place = parentElement.querySelector(".matrix");
  const focused = (parentElement.activeElement ?? document.activeElement)?.dataset?.at;

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  };

  const mark = (path, color) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "-6 -6 12 12");
    svg.setAttribute("aria-hidden", "true");
    const drawn = document.createElementNS("http://www.w3.org/2000/svg", "path");
    drawn.setAttribute("d", path);
    drawn.setAttribute("fill", color);
    svg.append(drawn);
    return svg;
  };

  const inside = (cell) => [
    element("span", `outcome ${cell.outcome}`, cell.word),
    element("span", "number", cell.text),
    ...(cell.note ? [element("span", "note", cell.note)] : []),
  ];

  const drawCell = (cell, row, column) => {
    const made = element("td");
    if (!cell) return made;
    const holder = element(cell.id ? "button" : "div", `cell ${cell.hatched ? "hatched" : ""}`);
    holder.append(...inside(cell));
    if (cell.tint) holder.style.setProperty("--tint", cell.tint);
    holder.title = cell.tip;
    if (cell.id) {
      holder.type = "button";
      holder.dataset.at = `${row},${column}`;
      holder.setAttribute("aria-label", cell.label);
      holder.onclick = () => setTriggerValue("opened", cell.id);
    }
    made.append(holder);
    return made;
  };

  const table = element("table");
  table.style.minWidth = `${8.5 + 6.2 * data.headings.length}rem`;
  table.append(element("caption", "", data.caption));
  const head = element("tr");
  head.append(element("th", "corner", "Model"));
  for (const heading of data.headings) {
    const th = element("th");
    th.scope = "col";
    const line = element("span", "format");
    if (heading.path) line.append(mark(heading.path, heading.color));
    line.append(element("span", "", heading.format));
    th.append(line);
    if (heading.note) th.append(element("span", "note", heading.note));
    head.append(th);
  }
  const thead = element("thead");
  thead.append(head);
  const body = element("tbody");
  data.rows.forEach((row, number) => {
    const line = element("tr");
    const th = element("th");
    th.scope = "row";
    th.append(element("span", "size", row.size), element("span", "note", row.note));
    line.append(th, ...row.cells.map((cell, column) => drawCell(cell, number, column)));
    body.append(line);
  });
  table.append(thead, body);

  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  table.onkeydown = (event) => {
    const step = steps[event.key];
    const at = event.target.dataset?.at?.split(",").map(Number);
    if (!step || !at) return;
    const next = table.querySelector(`[data-at="${at[0] + step[0]},${at[1] + step[1]}"]`);
    if (next) { next.focus(); event.preventDefault(); }
  };
  place.replaceChildren(table);
  if (focused) table.querySelector(`[data-at="${focused}"]`)?.focus();
}
