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
/** What a folder has, by size. Of very many, the smallest are one area, which says so. */
const MOST_TILES = 1000;
function insideOf(node) {
  if (node.ordered) return node.ordered;
  const all = [...node.inside.values()].filter((one) => one.size > 0);
  all.sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1));
  if (all.length > MOST_TILES) {
    const rest = all.splice(MOST_TILES);
    const sum = (field) => rest.reduce((total, one) => total + one[field], 0);
    const highest = rest.reduce((most, one) => Math.max(most, one.highest), 0);
    const name = `${format(rest.length)} smaller ones`;
    all.push({ name, path: node.path, said: `${node.path ? `${node.path}/: ` : ""}${name}`, above: node, inside: new Map(), size: sum("size"), highest, findings: sum("findings"), files: sum("files"), file: true });
    all.sort((a, b) => b.size - a.size);
  }
  return (node.ordered = all);
}

const heat = find("#heat"), tiles = find("#tiles"), saying = find("#tile-said");
const STEPS = { complexity: [1, 6, 11, 21, 41], findings: data.by_lines ? [1e-9, 5, 20, 50, 100] : [1, 3, 10, 30, 100] };
const LABELS = { complexity: ["0", "1–5", "6–10", "11–20", "21–40", "41+"], findings: data.by_lines ? ["0", "<5", "5+", "20+", "50+", "100+"] : ["0", "1+", "3+", "10+", "30+", "100+"] };
const warmth = (node) => {
  const value = heat.value === "complexity" ? node.highest : data.by_lines ? (1000 * node.findings) / Math.max(node.size, 1) : node.findings;
  return STEPS[heat.value].filter((step) => value >= step).length;
};
const words = (node) => [
  node.said || (node.path ? node.path + (node.file ? "" : "/") : "all"),
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
  const button = make("button", { type: "button" }, node.said ? "Show findings of the folder" : "Show its findings");
  button.addEventListener("click", () => findings.byPath(node.path + (node.file && !node.said ? "" : "/")));
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
