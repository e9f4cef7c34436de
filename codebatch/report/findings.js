/* Findings: a list of which only the rows in sight are in the page. */
const findings = find("#list") ? findingsList() : { byPath() {} };

function findingsList() {
  const table = tables.findings;
  const columns = columnsOf(table);
  const numbers = (name) => Int32Array.from(columns[name]);
  const [severity, code, path, line, column, task, state] =
    ["severity", "code", "path", "line", "column", "task", "state"].map(numbers);
  const { texts: messages, ids: message } = messagesOf(columns.message, columns.parts);
  const SEVERITIES = ["error", "warning", "info"];
  const lowerMessages = messages.map((one) => one.toLowerCase());
  const lowerPaths = paths.map((one) => one.toLowerCase());
  const distinct = (values) => [...new Set(values)];
  const names = distinct([...distinct(code), ...distinct(task)]);
  const usedPaths = distinct(path);
  const excerpts = new Map();
  const { finding, first, text } = columnsOf(tables.excerpts);
  finding.forEach((row, index) => excerpts.set(row, [first[index], strings[text[index]]]));
  const rules = new Map();
  const rule = columnsOf(tables.rules);
  rule.code.forEach((id, row) => rules.set(id, {
    title: strings[rule.title[row]],
    help: strings[rule.help[row]],
    link: rule.link[row] === null ? null : strings[rule.link[row]],
  }));

  const list = find("#list"), space = find("#space"), rows = find("#rows"), detail = find("#detail");
  const inputs = { search: find("#search"), path: find("#path"), code: find("#code"), task: find("#task"), state: find("#state") };
  const boxes = new Map();
  let shown = new Int32Array(0), selected = -1, sort = "severity", way = 1, printing = 0, placed = "";

  const countOf = (values) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return counts;
  };
  const fill = (select, values) => {
    select.append(make("option", { value: "" }, "all"));
    const named = [...countOf(values)].map(([id, number]) => [strings[id], id, number]);
    named.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    for (const [name, id, number] of named) select.append(make("option", { value: id }, `${name} (${format(number)})`));
  };
  fill(inputs.code, code);
  fill(inputs.task, task);
  if (inputs.state) {
    const there = make("option", { value: "there" }, "there now");
    const of = [["new", "new"], ["changed", "changed"], ["known", "as before"], ["fixed", "fixed"], ["suppressed", "suppressed"], ["unread", "in files not read now"]];
    const counts = countOf(state);
    inputs.state.append(there, ...of.map(([name, said]) =>
      make("option", { value: name }, `${said} (${format(counts.get(strings.indexOf(name)) ?? 0)})`)));
  }
  const severities = countOf(severity);
  for (const name of SEVERITIES) {
    const number = severities.get(strings.indexOf(name)) ?? 0;
    const box = make("input", { type: "checkbox", checked: true, disabled: number === 0 });
    boxes.set(strings.indexOf(name), box);
    box.addEventListener("change", apply);
    find("#severities").append(make("label", { class: name }, box, `${name} ${format(number)}`));
  }

  /* What rows are ordered by: for each row its rank. Rows come as relevant as they are. */
  const ranked = (values, textOf, size) => {
    const ranks = new Float64Array(size);
    distinct(values).sort((a, b) => (textOf(a) < textOf(b) ? -1 : 1)).forEach((id, rank) => { ranks[id] = rank; });
    return Float64Array.from(values, (id) => ranks[id]);
  };
  const ranks = {
    severity: () => { const of = new Map(SEVERITIES.map((name, rank) => [strings.indexOf(name), rank])); return Float64Array.from(severity, (id) => of.get(id)); },
    code: () => ranked(code, (id) => strings[id], strings.length),
    message: () => ranked(message, (id) => messages[id], messages.length),
    place: () => { const of = ranked(path, (id) => paths[id], paths.length); return of.map((rank, row) => rank * 1e7 + Math.min(line[row], 1e7 - 1)); },
  };
  const orders = new Map();
  const ordered = () => {
    if (!orders.has(sort)) {
      const rank = ranks[sort]();
      orders.set(sort, Int32Array.from(rank.keys()).sort((a, b) => rank[a] - rank[b] || a - b));
    }
    return orders.get(sort);
  };

  /* For each id of a text, or path, whether it is one that is searched for. */
  const matching = (ids, matches, size) => {
    const has = new Uint8Array(size);
    for (const id of ids) if (matches(id)) has[id] = 1;
    return has;
  };
  /* For each row, whether it fits all that is asked for. */
  function fitting() {
    const fits = new Uint8Array(table.rows).fill(1);
    const keep = (values, has) => { for (let row = 0; row < fits.length; row++) if (!has[values[row]]) fits[row] = 0; };
    const only = (values, ids) => {
      const has = new Uint8Array(strings.length);
      for (const id of ids) has[id] = 1;
      keep(values, has);
    };
    for (const word of inputs.search.value.toLowerCase().split(/\s+/).filter(Boolean)) {
      const inMessage = matching(messages.keys(), (id) => lowerMessages[id].includes(word), messages.length);
      const inName = matching(names, (id) => strings[id].toLowerCase().includes(word), strings.length);
      const inPath = matching(usedPaths, (id) => lowerPaths[id].includes(word), paths.length);
      for (let row = 0; row < fits.length; row++) {
        if (!(inMessage[message[row]] || inPath[path[row]] || inName[code[row]] || inName[task[row]])) fits[row] = 0;
      }
    }
    const within = inputs.path.value.trim().toLowerCase();
    const isWithin = inputs.path.value === placed
      ? (id) => `/${paths[id]}` === placed || (placed.endsWith("/") && `/${paths[id]}`.startsWith(placed))
      : (id) => `/${lowerPaths[id]}`.includes(within);
    if (within) keep(path, matching(usedPaths, isWithin, paths.length));
    if (inputs.code.value) only(code, [Number(inputs.code.value)]);
    if (inputs.task.value) only(task, [Number(inputs.task.value)]);
    if (inputs.state) {
      const wanted = inputs.state.value === "there" ? ["new", "changed", "known"] : [inputs.state.value];
      only(state, wanted.map((name) => strings.indexOf(name)).filter((id) => id >= 0));
    }
    const chosen = [...boxes].filter(([, box]) => box.checked).map(([id]) => id);
    if (chosen.length < boxes.size) only(severity, chosen.filter((id) => id >= 0));
    return fits;
  }
  function apply() {
    const order = ordered(), fits = fitting(), kept = new Int32Array(order.length);
    let number = 0;
    for (let at = 0; at < order.length; at++) {
      const row = order[way > 0 ? at : order.length - 1 - at];
      if (fits[row]) kept[number++] = row;
    }
    shown = kept.subarray(0, number);
    find("#count").textContent = number === table.rows ? plural(number, "finding") : `${format(number)} of ${plural(table.rows, "finding")}`;
    list.scrollTop = 0;
    select(number ? 0 : -1);
  }

  const rowHeight = () => (matchMedia("(max-width: 640px)").matches ? 58 : 34);
  const placeOf = (row) => `${paths[path[row]]}:${line[row]}`;
  const stateOf = (row) => {
    const name = strings[state[row]];
    return name === "known" ? [] : [make("span", { class: `state ${name}` }, name)];
  };
  function draw() {
    const height = rowHeight();
    const from = printing ? 0 : Math.max(0, Math.floor(list.scrollTop / height) - 8);
    const to = printing ? Math.min(printing, shown.length) : Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / height) + 8);
    list.style.maxHeight = `${Math.max(table.rows, 2) * height}px`;
    space.style.height = `${shown.length * height}px`;
    rows.style.transform = `translateY(${from * height}px)`;
    const made = [];
    for (let at = from; at < to; at++) {
      const row = shown[at], name = strings[severity[row]];
      made.push(make("div", { class: "row", role: "option", id: `finding-${row}`, "data-at": at, "aria-selected": String(at === selected), "aria-posinset": at + 1, "aria-setsize": shown.length },
        make("span", { class: `severity ${name}` }, name),
        make("code", {}, strings[code[row]]),
        make("span", { title: messages[message[row]] }, ...stateOf(row), messages[message[row]]),
        make("span", { class: "place", title: placeOf(row) }, make("span", {}, ending(paths[path[row]], String(line[row]).length)), make("span", {}, `:${line[row]}`))));
    }
    if (!shown.length) made.push(make("p", { class: "empty" }, "Nothing fits all of these filters."));
    rows.replaceChildren(...made);
    if (selected >= 0) list.setAttribute("aria-activedescendant", `finding-${shown[selected]}`);
    else list.removeAttribute("aria-activedescendant");
  }
  /* The end of a path says more than its beginning. */
  const ending = (place, taken) => {
    const most = (rowHeight() === 34 ? 35 : 26) - taken;
    return place.length > most ? `…${place.slice(1 - most)}` : place;
  };

  function select(at) {
    selected = at;
    if (at >= 0) {
      const top = at * rowHeight();
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + rowHeight() > list.scrollTop + list.clientHeight) list.scrollTop = top + rowHeight() - list.clientHeight;
    }
    draw();
    describe(at >= 0 ? shown[at] : -1);
  }
  function describe(row) {
    if (row < 0) { detail.replaceChildren(make("p", { class: "quiet" }, "No finding is selected.")); return; }
    const name = strings[severity[row]], known = rules.get(code[row]);
    const parts = [
      make("h3", {}, known?.title || strings[code[row]]),
      make("p", {}, make("span", { class: `severity ${name}` }, name), make("code", {}, strings[code[row]]), make("span", { class: "quiet" }, ` by ${strings[task[row]]} `), ...stateOf(row)),
      make("p", {}, messages[message[row]]),
      make("p", { class: "place" }, `${placeOf(row)}:${column[row]}`),
    ];
    if (excerpts.has(row)) {
      const [begin, source] = excerpts.get(row);
      parts.push(make("div", { class: "excerpt", tabindex: 0, role: "region", "aria-label": "Source" }, ...source.split("\n").map((words, index) =>
        make("div", { class: begin + index === line[row] ? "at" : "" }, make("span", {}, begin + index), make("span", {}, words)))));
    } else parts.push(make("p", { class: "quiet" }, "The lines of its source are not in this page."));
    if (known?.help) parts.push(make("p", {}, known.help));
    if (known?.link && /^https?:\/\//i.test(known.link)) {
      parts.push(make("p", {}, make("a", { href: known.link, rel: "noopener noreferrer", target: "_blank" }, "About this rule")));
    }
    detail.replaceChildren(...parts);
  }

  const KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12, Home: -Infinity, End: Infinity };
  list.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || !shown.length || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    select(Math.min(shown.length - 1, Math.max(0, selected + KEYS[event.key])));
  });
  list.addEventListener("scroll", draw, { passive: true });
  rows.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) select(Number(row.dataset.at));
  });
  for (const input of Object.values(inputs)) input?.addEventListener("input", apply);
  for (const [name, title] of [["severity", "Severity"], ["code", "Code"], ["message", "Message"], ["place", "Place"]]) {
    const button = make("button", { type: "button", "data-sort": name }, title);
    button.addEventListener("click", () => { way = sort === name ? -way : 1; sort = name; mark(); apply(); });
    find("#sorting").append(button);
  }
  function mark() {
    for (const button of find("#sorting").children) {
      button.setAttribute("aria-pressed", button.dataset.sort === sort);
      button.dataset.way = way;
    }
  }
  function reset() {
    for (const [name, input] of Object.entries(inputs)) if (input) input.value = name === "state" ? "there" : "";
    for (const box of boxes.values()) box.checked = true;
  }
  find("#reset").addEventListener("click", () => { reset(); apply(); inputs.search.focus(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    inputs.search.focus();
  });
  for (const link of document.querySelectorAll("a[data-code]")) {
    const id = strings.indexOf(link.dataset.code);
    if (code.includes(id)) link.addEventListener("click", () => { reset(); inputs.code.value = String(id); apply(); });
    else link.replaceWith(...link.childNodes);  // of these none is listed
  }
  addEventListener("resize", draw);
  addEventListener("beforeprint", () => {
    printing = 200;
    find("#printed").textContent = shown.length > printing ? `The first ${printing} of ${plural(shown.length, "finding")} are printed.` : "";
    draw();
  });
  addEventListener("afterprint", () => { printing = 0; draw(); });
  mark();
  apply();
  return {
    byPath(text) { reset(); inputs.path.value = placed = text === "/" ? "" : `/${text}`; apply(); location.hash = ""; location.hash = "findings"; list.focus({ preventScroll: true }); },
  };
}

/** The messages, each once, and for each finding which it has: the parts fill the line ends. */
function messagesOf(wordings, parts) {
  const known = new Map(), texts = [];
  const ids = wordings.map((wording, row) => {
    const key = wording * strings.length + parts[row];
    let id = known.get(key);
    if (id === undefined) {
      const gaps = strings[parts[row]].split("\n");
      let at = 0;
      known.set(key, (id = texts.push(strings[wording].replace(/\n/g, () => gaps[at++])) - 1));
    }
    return id;
  });
  return { texts, ids: Int32Array.from(ids) };
}
