
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { strings, tables } = data;
  const find = (selector) => document.querySelector(selector);
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: 2 }).format;
  const paths = data.paths.name.map((name, index) => {
    const folder = strings[data.paths.folder[index]];
    return folder ? `${folder}/${strings[name]}` : strings[name];
  });

  /** Makes an element. What it says is text, and never markup. */
  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...inside.map((one) => (one instanceof Node ? one : String(one))));
    return element;
  };
  const columnsOf = (table) =>
    Object.fromEntries(table.columns.map((column) => [column.name, column.values]));
  const cell = (column, row) => {
    const value = column.values[row];
    if (value === null) return "";
    if (column.type === "path") return paths[value];
    return column.type === "number" ? value : strings[value];
  };
  const plural = (number, word) => `${format(number)} ${word}${number === 1 ? "" : "s"}`;

  /* Light and dark. */
  const theme = find("#theme");
  const root = document.documentElement;
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`); };
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; nameTheme(); });
  prefersDark.addEventListener("change", nameTheme);
  nameTheme();

  /* Where on the page one is. */
  const links = new Map([...document.querySelectorAll("body > nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const [id, link] of links) {
        if (id === entry.target.id) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  for (const id of links.keys()) seen.observe(document.getElementById(id));

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
    let shown = new Int32Array(0), selected = -1, sort = "severity", way = 1, printing = 0;

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
      const of = [["new", "new"], ["known", "as before"], ["fixed", "fixed"]];
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

    /* For each id of a text, or path, whether it has a word that is searched for. */
    const matching = (ids, textOf, word, size) => {
      const has = new Uint8Array(size);
      for (const id of ids) if (textOf(id).includes(word)) has[id] = 1;
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
        const inMessage = matching(messages.keys(), (id) => lowerMessages[id], word, messages.length);
        const inName = matching(names, (id) => strings[id].toLowerCase(), word, strings.length);
        const inPath = matching(usedPaths, (id) => lowerPaths[id], word, paths.length);
        for (let row = 0; row < fits.length; row++) {
          if (!(inMessage[message[row]] || inPath[path[row]] || inName[code[row]] || inName[task[row]])) fits[row] = 0;
        }
      }
      const within = inputs.path.value.trim().toLowerCase();
      if (within) keep(path, matching(usedPaths, (id) => `/${lowerPaths[id]}`, within, paths.length));
      if (inputs.code.value) only(code, [Number(inputs.code.value)]);
      if (inputs.task.value) only(task, [Number(inputs.task.value)]);
      if (inputs.state) {
        const wanted = inputs.state.value === "there" ? ["new", "known"] : [inputs.state.value];
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
      link.addEventListener("click", () => { reset(); inputs.code.value = String(strings.indexOf(link.dataset.code)); apply(); });
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
      byPath(text) { reset(); inputs.path.value = `/${text}`; apply(); location.hash = ""; location.hash = "findings"; list.focus({ preventScroll: true }); },
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

  /* The map. */
  const tree = folders();
  let here = tree;

  function folders() {
    const top = { name: "", path: "", above: null, inside: new Map(), size: 0, highest: 0, findings: 0, files: 0, file: false };
    const files = columnsOf(tables.files);
    for (let row = 0; row < tables.files.rows; row++) {
      const numbers = { size: files.lines[row] ?? 0, highest: files.highest[row] ?? 0, findings: files.findings[row] ?? 0 };
      const folder = strings[data.paths.folder[files.path[row]]];
      let node = top;
      const enter = (name, file) => {
        const key = file ? `${name}/` : name;
        let next = node.inside.get(key);
        if (!next) {
          next = { name, path: node.path ? `${node.path}/${name}` : name, above: node, inside: new Map(), size: 0, highest: 0, findings: 0, files: 0, file };
          node.inside.set(key, next);
        }
        node = next;
        add(node);
      };
      const add = (one) => {
        one.size += numbers.size;
        one.highest = Math.max(one.highest, numbers.highest);
        one.findings += numbers.findings;
        one.files += 1;
      };
      add(top);
      if (folder) for (const name of folder.split("/")) enter(name, false);
      enter(strings[data.paths.name[files.path[row]]], true);
    }
    return top;
  }
  const insideOf = (node) => (node.ordered ??= [...node.inside.values()].filter((one) => one.size > 0)
    .sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1)));

  const heat = find("#heat"), tiles = find("#tiles"), saying = find("#tile-said");
  const STEPS = { complexity: [1, 6, 11, 21, 41], findings: data.by_lines ? [1e-9, 5, 20, 50, 100] : [1, 3, 10, 30, 100] };
  const LABELS = { complexity: ["0", "1–5", "6–10", "11–20", "21–40", "41+"], findings: data.by_lines ? ["0", "<5", "5+", "20+", "50+", "100+"] : ["0", "1+", "3+", "10+", "30+", "100+"] };
  const warmth = (node) => {
    const value = heat.value === "complexity" ? node.highest : data.by_lines ? (1000 * node.findings) / Math.max(node.size, 1) : node.findings;
    return STEPS[heat.value].filter((step) => value >= step).length;
  };
  const words = (node) => [
    node.path ? node.path + (node.file ? "" : "/") : "all",
    data.by_lines ? plural(node.size, "line") : plural(node.size, "byte"),
    ...(node.file ? [] : [plural(node.files, "file")]),
    ...(tables.functions.total ? [`highest complexity ${format(node.highest)}`] : []),
    plural(node.findings, "finding"),
  ].join(", ");

  /** Calls back with each item and its place in a box: rows of areas that are as square as may be. */
  function squarify(items, x, y, width, height, place) {
    let rest = items.reduce((sum, item) => sum + item.size, 0);
    let from = 0;
    while (from < items.length && width > 0 && height > 0) {
      const side = Math.min(width, height), scale = (width * height) / rest;
      let sum = 0, to = from, worst = Infinity;
      while (to < items.length) {
        const more = sum + items[to].size;
        const thick = (more * scale) / side;
        const ratio = Math.max((items[from].size * scale) / thick / thick, (thick * thick) / (items[to].size * scale));
        if (ratio > worst) break;
        worst = ratio; sum = more; to++;
      }
      const thick = (sum * scale) / side;
      let along = 0;
      for (; from < to; from++) {
        const length = (items[from].size * scale) / thick;
        if (width <= height) place(items[from], x + along, y, length, thick);
        else place(items[from], x, y + along, thick, length);
        along += length;
      }
      if (width <= height) { y += thick; height -= thick; } else { x += thick; width -= thick; }
      rest -= sum;
    }
  }

  let drawn = 0;
  const HEAD = 19, MOST_DRAWN = 2500;
  function boxOf(element, x, y, width, height) {
    Object.assign(element.style, { left: `${x}px`, top: `${y}px`, width: `${Math.max(width, 1)}px`, height: `${Math.max(height, 1)}px` });
  }
  /** Fills a tile or cell: with the name, and where it is a folder and large, with what it has. */
  function fillTile(element, node, width, height, depth) {
    const nests = !node.file && depth < 4 && width > 44 && height > 40 && insideOf(node).length > 0;
    if (width > 34 && height > 17) element.append(make("span", { class: "label" }, node.name + (node.file ? "" : "/")));
    element.classList.add(...(nests ? ["nested"] : [`heat${warmth(node)}`]));
    if (!nests) return;
    squarify(insideOf(node), 2, HEAD, width - 6, height - HEAD - 4, (inner, x, y, w, h) => {
      if (w < 3 || h < 3 || drawn >= MOST_DRAWN) return;
      drawn++;
      const part = make("span", { class: "cell", "aria-hidden": "true" });
      boxOf(part, x, y, w, h);
      fillTile(part, inner, w, h, depth + 1);
      element.append(part);
    });
  }
  function drawMap(focused) {
    drawn = 0;
    const made = [];
    squarify(insideOf(here), 0, 0, tiles.clientWidth, tiles.clientHeight, (node, x, y, width, height) => {
      if (made.length >= MOST_DRAWN) return;
      const tile = make("button", { type: "button", class: "tile", tabindex: -1, "aria-label": words(node) });
      boxOf(tile, x, y, width, height);
      tile.node = node;
      fillTile(tile, node, width, height, 0);
      made.push(tile);
    });
    if (!made.length) made.push(make("p", { class: "empty" }, "Nothing here has a size."));
    tiles.replaceChildren(...made);
    const target = made.find((tile) => tile.node && tile.node === focused) ?? made[0];
    if (target.node) target.tabIndex = 0;
    if (focused !== undefined && target.node) target.focus({ preventScroll: true });
    drawCrumbs();
    find("#legend").replaceChildren(...LABELS[heat.value].map((label, step) => make("li", { class: `heat${step}` }, label)));
  }
  function drawCrumbs() {
    const trail = [];
    for (let node = here; node; node = node.above) trail.unshift(node);
    find("#crumbs").replaceChildren(...trail.map((node) => {
      const button = make("button", { type: "button", "aria-current": node === here ? "location" : null }, node.name || "all");
      button.addEventListener("click", () => go(node, here));
      return make("li", {}, button);
    }));
  }
  function go(node, from) {
    here = node;
    saying.replaceChildren(words(node));
    let child = from;
    while (child && child.above !== node) child = child.above;
    drawMap(child ?? null);
  }
  function say(node) {
    saying.replaceChildren(words(node));
    if (!node.findings) return;
    const button = make("button", { type: "button" }, "Show its findings");
    button.addEventListener("click", () => findings.byPath(node.path + (node.file ? "" : "/")));
    saying.append(button);
  }
  tiles.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    if (tile.node.file) say(tile.node);
    else go(tile.node);
  });
  tiles.addEventListener("focusin", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    for (const one of tiles.children) one.tabIndex = one === tile ? 0 : -1;
    say(tile.node);
  });
  tiles.addEventListener("mouseover", (event) => {
    const tile = event.target.closest(".tile");
    if (tile && !tiles.contains(document.activeElement)) say(tile.node);
  });
  tiles.addEventListener("keydown", (event) => {
    const tile = event.target.closest(".tile");
    if (!tile || event.altKey || event.ctrlKey || event.metaKey) return;
    const ways = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (event.key === "Escape" || event.key === "Backspace") {
      if (here.above) go(here.above, here);
    } else if (event.key === "Home") go(tree, null);
    else if (event.key in ways) nearest(tile, ...ways[event.key])?.focus();
    else return;
    event.preventDefault();
  });
  /** The tile that is next in a direction: little aside, then little away. */
  function nearest(tile, right, down) {
    const middle = (one) => { const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };
    const [x, y] = middle(tile);
    let best = null, least = Infinity;
    for (const one of tiles.children) {
      const [toX, toY] = middle(one);
      const along = (toX - x) * right + (toY - y) * down;
      const aside = Math.abs((toX - x) * down) + Math.abs((toY - y) * right);
      if (one !== tile && along > 1 && along + 2 * aside < least) { least = along + 2 * aside; best = one; }
    }
    return best;
  }
  heat.addEventListener("change", () => drawMap());
  let width = tiles.clientWidth;
  new ResizeObserver(() => { if (tiles.clientWidth !== width) { width = tiles.clientWidth; drawMap(); } }).observe(tiles);
  say(tree);
  drawMap();

  /* Other tables: sorted by a click on a head, and as long as one wants. */
  const MORE = 100;
  function drawTable(holder, table) {
    const columns = table.columns.filter((column) => column.values.some((value) => value !== null && strings[value] !== ""));
    let order = [...Array(table.rows).keys()], length = 15, sorted = -1, way = 1;
    const body = make("tbody"), more = make("button", { type: "button", class: "more" });
    const heads = columns.map((column, index) => {
      const button = make("button", { type: "button" }, column.name);
      button.addEventListener("click", () => sortBy(index));
      return make("th", { scope: "col", class: column.type === "number" ? "n" : "" }, button);
    });
    function sortBy(index) {
      way = sorted === index ? -way : columns[index].type === "number" ? -1 : 1;
      sorted = index;
      const values = order.map((_, row) => { const value = cell(columns[index], row); return columns[index].type === "number" && value !== "" ? Number(value) : value; });
      order = [...Array(table.rows).keys()].sort((a, b) => {
        if (values[a] === values[b]) return a - b;
        if (values[a] === "" || values[b] === "") return values[a] === "" ? 1 : -1;
        return way * (values[a] < values[b] ? -1 : 1);
      });
      heads.forEach((head, at) => (at === sorted ? head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
      fillBody();
    }
    function fillBody() {
      body.replaceChildren(...order.slice(0, length).map((row) => make("tr", {}, ...columns.map((column) => {
        const value = cell(column, row), isNumber = column.type === "number";
        return make("td", { class: isNumber ? "n" : column.type === "path" ? "place" : "" }, isNumber && typeof value === "number" && column.name !== "line" ? format(value) : value);
      }))));
      more.hidden = length >= table.rows;
      more.textContent = `Show ${format(Math.min(MORE, table.rows - length))} more of ${format(table.rows - length)}`;
    }
    more.addEventListener("click", () => { length += MORE; fillBody(); });
    const inner = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body);
    holder.append(make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": holder.dataset.label }, inner), more);
    fillBody();
  }
  for (const holder of document.querySelectorAll("[data-table]")) drawTable(holder, tables[holder.dataset.table]);
  for (const holder of document.querySelectorAll("[data-record]")) drawTable(holder, data.records[Number(holder.dataset.record)]);
})();
