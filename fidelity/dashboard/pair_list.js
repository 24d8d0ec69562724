// The list of pairs: a grid whose rows open a pair with a click, Enter or Space. Foreign text is only ever textContent.
const lists = new WeakMap();

export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  const list = lists.get(parentElement) ?? {};
  lists.set(parentElement, list);
  list.open = (key) => {
    select(list, key);
    setTriggerValue("open", key);
  };
  if (data.reviewer) {
    document.cookie = `${data.cookie}=${encodeURIComponent(data.reviewer)}; path=/; max-age=31536000; SameSite=Strict`;
  }
  if (list.stamp !== data.stamp) {
    list.stamp = data.stamp;
    draw(list, parentElement.querySelector(".list"), data);
  }
  select(list, data.open);
}

function draw(list, frame, data) {
  const grid = document.createElement("table");
  grid.setAttribute("role", "grid");
  grid.setAttribute("aria-label", data.label);
  grid.setAttribute("aria-rowcount", String(data.rows.length + 1));
  grid.tabIndex = 0;
  const head = grid.createTHead().insertRow();
  for (const column of data.columns) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    cell.textContent = column.name;
    cell.className = column.kind;
    cell.title = column.help ?? "";
    head.append(cell);
  }
  const body = grid.createTBody();
  list.rows = data.rows.map((row, number) => drawRow(list, body, data.columns, row, number));
  list.grid = grid;
  list.frame = frame;
  grid.addEventListener("keydown", (event) => onKey(list, event));
  frame.replaceChildren(grid);
}

function drawRow(list, body, columns, row, number) {
  const line = body.insertRow();
  line.setAttribute("role", "row");
  line.setAttribute("aria-rowindex", String(number + 2));
  line.id = `pair-${number}`;
  line.dataset.key = row.key;
  row.cells.forEach((value, place) => {
    const cell = line.insertCell();
    cell.setAttribute("role", "gridcell");
    cell.className = columns[place].kind;
    if (Array.isArray(value)) value.forEach((piece, n) => cell.append(n % 2 ? mark(piece) : piece));
    else cell.textContent = value;
    if (columns[place].kind !== "number") cell.title = cell.textContent;
  });
  line.addEventListener("click", () => {
    if (!String(getSelection())) list.open(row.key);
  });
  return line;
}

function mark(text) {
  const marked = document.createElement("mark");
  marked.textContent = text;
  return marked;
}

function onKey(list, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const last = list.rows.length - 1;
  const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -last, End: last };
  if (event.key in moves) activate(list, Math.min(last, Math.max(0, list.active + moves[event.key])));
  else if (event.key === "Enter" || event.key === " ") list.open(list.rows[list.active].dataset.key);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

function select(list, key) {
  const number = list.rows.findIndex((row) => row.dataset.key === key);
  list.rows.forEach((row, n) => row.setAttribute("aria-selected", String(n === number)));
  activate(list, Math.max(0, number));
}

function activate(list, number) {
  list.rows[list.active]?.classList.remove("active");
  list.active = number;
  const row = list.rows[number];
  if (!row) return;
  row.classList.add("active");
  list.grid.setAttribute("aria-activedescendant", row.id);
  const head = list.grid.tHead.offsetHeight;
  const { scrollTop, clientHeight } = list.frame;
  if (row.offsetTop < scrollTop + head) list.frame.scrollTop = row.offsetTop - head;
  else if (row.offsetTop + row.offsetHeight > scrollTop + clientHeight)
    list.frame.scrollTop = row.offsetTop + row.offsetHeight - clientHeight;
}
