/* Other tables: sorted by a click on a head, and as long as one wants. */
const MORE = 100;
function drawTable(holder, table) {
  const columns = table.columns.filter((column) => column.values.some((_, row) => cell(column, row) !== ""));
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
