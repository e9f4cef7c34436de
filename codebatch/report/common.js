/* What the other scripts of the page use. They are put into one function, in the order
   of `page.py`, which makes the text whose digest the policy of the page names. */

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
