"use strict";
// Everything that a model wrote reaches the page through textContent, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const BOTH = 0, BASELINE = 1, CANDIDATE = 2;
  const AT_ONCE = 40;
  let found = [];
  let shown = 0;
  let opened = "";
  const FILTERS = ["search", "candidate", "category", "order", "changed", "beside"];

  // The address holds the filters and the open pair, so that a link shows the same.
  function remember() {
    const state = new URLSearchParams(FILTERS.map((id) => [id, $(id).type === "checkbox" ? Number($(id).checked) : $(id).value]));
    if (opened) state.set("pair", opened);
    history.replaceState(null, "", `#${state}`);
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    for (const id of FILTERS.filter((id) => state.has(id))) {
      if ($(id).type === "checkbox") $(id).checked = state.get(id) === "1";
      else $(id).value = state.get(id);
      if ($(id).tagName === "SELECT" && $(id).selectedIndex < 0) $(id).selectedIndex = 0;
    }
    return state.get("pair");
  }

  function openPair(number) {
    const place = number === null ? 0 : found.findIndex((pair) => String(pair.n) === number);
    while (shown <= place && shown < found.length) more();
    const row = $("list").children[place];
    if (row) row.open = true;
    if (row && number !== null) row.scrollIntoView();
  }

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function options(select, entries) {
    for (const [value, text] of entries) {
      const option = element("option", "", text);
      option.value = value;
      select.append(option);
    }
    if (entries.length < 2) select.parentElement.hidden = true;
  }

  const fixed = (value, place) => (value === null ? "–" : value.toFixed(data.columns[place].digits));
  const signed = (value) => (value < 0 ? "" : "+") + value.toFixed(3);
  const changed = (pair) => pair.d.length > 1 || (pair.d.length === 1 && pair.d[0][0] !== BOTH);

  function haystack(pair) {
    const prompt = data.prompts[pair.p];
    pair.all ??= [prompt.id, prompt.category, prompt.text, ...pair.d.map((piece) => piece[1])].join("\n").toLowerCase();
    // The pieces are joined side by side too, so that a phrase across a change is found in the text that has it.
    pair.sides ??= [BASELINE, CANDIDATE].map((side) => whole(pair, side).toLowerCase());
    return [pair.all, ...pair.sides];
  }

  const whole = (pair, side) => pair.d.filter(([kind]) => kind === BOTH || kind === side).map((piece) => piece[1]).join("");

  function search() {
    const candidate = data.candidates[Number($("candidate").value)];
    const words = $("search").value.toLowerCase();
    const category = $("category").value;
    found = candidate.pairs.filter((pair) =>
      (!$("changed").checked || changed(pair)) &&
      (category === "" || data.prompts[pair.p].category === data.categories[Number(category)]) &&
      (words === "" || haystack(pair).some((text) => text.includes(words))));
    const order = $("order").value;
    if (order === "asked") {
      found.sort((a, b) => a.n - b.n);
    } else if (order !== "worst") {
      const column = Number(order), sign = data.columns[column].better === "lower" ? -1 : 1;
      const key = (pair) => (pair.v[column] === null ? Infinity : sign * pair.v[column]);
      found = found.map((pair) => [key(pair), pair]).sort((a, b) => a[0] - b[0] || a[1].n - b[1].n).map(([, pair]) => pair);
    }
    $("count").textContent = `${found.length} of ${candidate.pairs.length} pairs`;
    $("list").replaceChildren();
    shown = 0;
    more();
  }

  function more() {
    const candidate = data.candidates[Number($("candidate").value)];
    $("list").append(...found.slice(shown, shown + AT_ONCE).map((pair) => row(pair, candidate)));
    shown = Math.min(found.length, shown + AT_ONCE);
    $("more").hidden = shown >= found.length;
    $("more").textContent = `Show more (${found.length - shown} left)`;
  }

  function row(pair, candidate) {
    const prompt = data.prompts[pair.p];
    const made = element("details", "pair");
    const summary = element("summary");
    const id = element("bdi", "id", pair.r ? `${prompt.id} (repeat ${pair.r})` : prompt.id);
    id.title = prompt.id;
    let score = "same";
    if (changed(pair)) {
      score = candidate.by === null ? "changed" : `${data.columns[candidate.by].name} ${fixed(pair.v[candidate.by], candidate.by)}`;
      if (pair.x !== null) score += ` (${signed(pair.x)})`;
      if (pair.c.length) score = `${pair.c[0].split(":")[0]} conflict · ${score}`;
    }
    summary.append(id, element("bdi", "category", prompt.category), element("bdi", "begin", prompt.text), element("span", "score", score));
    made.append(summary);
    made.dataset.pair = pair.n;
    made.addEventListener("toggle", () => { if (made.open) { opened = String(pair.n); remember(); } else if (opened === String(pair.n)) { opened = ""; remember(); } });
    made.addEventListener("toggle", () => { if (made.open && made.children.length === 1) made.append(inside(pair, candidate)); });
    return made;
  }

  function inside(pair, candidate) {
    const made = element("div", "inner");
    const prompt = data.prompts[pair.p];
    if (prompt.text) made.append(element("h4", "", "Prompt"), block(prompt.text));
    if (pair.c.length) {
      const list = element("ul", "conflicts");
      pair.c.forEach((words) => list.append(element("li", "", words)));
      made.append(element("h4", "", "Conflicts: baseline / candidate"), list);
    }
    if (!changed(pair)) {
      const both = element("div");
      both.append(element("h4", "", "Both answers"), text(pair.d, ""));
      columns(made, [both], pair);
    } else if ($("beside").checked) {
      columns(made, [side(pair.d, BASELINE, data.baseline), side(pair.d, CANDIDATE, candidate.name)], pair);
    } else {
      columns(made, [together(pair.d, candidate.name)], pair);
    }
    const scores = element("p", "scores");
    data.columns.forEach((column, place) => {
      const entry = element("span", "", `${column.name} `);
      entry.append(element("b", "", fixed(pair.v[place], place)));
      scores.append(entry);
    });
    if (pair.x !== null) scores.append(element("span", "", `excess in ${data.columns[candidate.by].name} ${signed(pair.x)}`));
    made.append(scores);
    return made;
  }

  // The control's answer comes last: whatever it changes too can be noise.
  function columns(made, boxes, pair) {
    const pieces = data.controls[`${pair.p}:${pair.r}`];
    if (pieces) {
      const name = `${data.control} (control)`;
      boxes.push($("beside").checked ? side(pieces, CANDIDATE, name) : together(pieces, name));
    }
    const grid = element("div", boxes.length > 2 ? "columns three" : boxes.length > 1 ? "columns" : "");
    grid.append(...boxes);
    made.append(grid);
  }

  function together(pieces, name) {
    const made = element("div");
    const key = element("h4", "together");
    key.append(element("del", "", data.baseline), " against ", element("ins", "", name));
    made.append(key, text(pieces, "together"));
    return made;
  }

  function side(pieces, which, name) {
    const made = element("div");
    made.append(element("h4", "", name), text(pieces.filter(([kind]) => kind !== BASELINE + CANDIDATE - which), ""));
    return made;
  }

  function block(content) {
    const made = element("div", "text", content);
    made.dir = "auto";
    return made;
  }

  function text(pieces, className) {
    const made = block("");
    if (className) made.classList.add(className);
    for (const [kind, content, conflict] of pieces) {
      const place = conflict ? conflicting(conflict) : made;
      if (kind === BOTH) place.append(content);
      else if (kind !== BASELINE && kind !== CANDIDATE) place.append(element("span", "cut", content));
      else if (content) place.append(element(kind === BASELINE ? "del" : "ins", "", spaced(content)));
      if (conflict) made.append(place, kinds(conflict));
    }
    if (!pieces.some(([, content]) => content)) made.append(element("span", "cut", "(empty)"));
    return made;
  }

  function conflicting(words) {
    const made = element("span", "conflict");
    made.title = words;
    return made;
  }

  // The kind follows the words, for readers who do not see a frame.
  const kinds = (words) => element("sup", "kind", words.split("; ").map((one) => one.split(":")[0]).join(", "));

  // A change of white space alone would not be seen.
  const spaced = (content) => (content.trim() ? content : content.replaceAll(" ", "·").replaceAll("\t", "⇥").replaceAll("\n", "↵\n"));

  options($("candidate"), data.candidates.map((candidate, place) => [place, candidate.name]));
  options($("category"), data.categories.length < 2 ? [] : [["", "all"], ...data.categories.map((category, place) => [place, category])]);
  options($("order"), [["worst", "worst first"], ["asked", "as asked"],
    ...data.columns.flatMap((column, place) => (column.better === "neither" ? [] : [[place, `${column.better === "lower" ? "highest" : "lowest"} ${column.name}`]]))]);
  $("beside").checked = window.innerWidth >= 1100;
  $("candidate").value = data.first;
  for (const id of FILTERS) $(id).addEventListener("input", () => { opened = ""; search(); remember(); });
  document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
  $("more").addEventListener("click", more);
  if (data.candidates.length) {
    const pair = recall();
    search();
    openPair(pair);
  }
  else document.querySelector(".filters").hidden = true;
})();
