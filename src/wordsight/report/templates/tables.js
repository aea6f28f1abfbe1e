// Tables that sort, and the table of a class's words.

const PAGE = 12;

function chip(verdict) {
  return make("span", { class: `chip ${verdict}` }, VERDICT_NAMES[verdict]);
}

function estimateCell(estimate, write) {
  if (estimate === null) return ["\u2013"];
  return [write(estimate.value), make("span", { class: "ends" }, `${write(estimate.low)} to ${write(estimate.high)}`)];
}

/** Numbers by size, text by alphabet; missing values are last in both directions. */
function compareValues(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "string" ? a.localeCompare(b) : a - b;
  return down ? -order : order;
}

/**
 * A table with a sort button in every head. Columns are {name, about, value(row), cell(row)}: value is what it sorts by.
 * Returns the element and a function that shows other rows.
 */
function sortable(label, columns, { first = null, step = PAGE } = {}) {
  let shown = [];
  let sorting = first;
  let count = step;
  const body = make("tbody");
  const more = make("button", { type: "button", class: "quiet" });
  const heads = columns.map((column, i) => {
    const button = make("button", { type: "button", title: column.about ?? null }, column.name, make("span", { class: "sign", "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      const down = sorting?.column === i ? !sorting.down : !column.text;
      sorting = { column: i, down };
      fill();
    });
    return make("th", { scope: "col", class: column.text ? null : "r" }, button);
  });
  const fill = () => {
    const order = [...shown];
    if (sorting) order.sort((a, b) => compareValues(columns[sorting.column].value(a), columns[sorting.column].value(b), sorting.down));
    heads.forEach((head, i) => {
      if (sorting?.column === i) head.setAttribute("aria-sort", sorting.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    body.replaceChildren(
      ...order.slice(0, count).map((row) =>
        make("tr", {}, ...columns.map((column, i) => make(i ? "td" : "th", { scope: i ? null : "row", class: column.text ? null : "r" }, ...[column.cell(row)].flat()))),
      ),
    );
    more.hidden = count >= order.length;
    more.textContent = `Show all ${order.length}`;
  };
  more.addEventListener("click", () => {
    const at = count;
    count = Infinity;
    fill();
    body.children[at]?.querySelector("button")?.focus();
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...heads)), body);
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table);
  const update = (other) => {
    shown = other;
    count = step;
    fill();
  };
  return { element: make("div", {}, scroll, more), update };
}

const two = (value) => number(value, 2);
const gap = (name, title, about) => ({ name: title, about, value: (row) => row[name]?.value ?? null, cell: (row) => estimateCell(row[name], points) });

function wordColumns(label) {
  const word = (row) => make("button", { type: "button", class: "word", onclick: () => openWord(row.word, label) }, row.name);
  return [
    { name: "Word", text: true, value: (row) => row.name, cell: word },
    { name: "Verdict", text: true, value: (row) => VERDICTS.indexOf(row.verdict), cell: (row) => chip(row.verdict) },
    { name: "Rate", about: "Share of the class's sentences with the word", value: (row) => row.rate.value, cell: (row) => estimateCell(row.rate, percent) },
    { name: "Lift", about: "Log-odds against the other images", value: (row) => row.lift, cell: (row) => two(row.lift) },
    { name: "Encoded", about: "Chance that an image predicted as this class has a higher rate", value: (row) => row.encoded.value, cell: (row) => estimateCell(row.encoded, two) },
    { name: "Used", about: "Reliance: standard deviations that the word moves the class's logit, other words fixed", value: (row) => row.used?.value ?? null, cell: (row) => estimateCell(row.used, two) },
    { name: "Calls", about: "Share of images of other classes that become this class when the word is added", value: (row) => row.changes, cell: (row) => percent(row.changes) },
    gap("missed", "Missed", "Points more of the class's images wrong without the word than with it"),
    gap("mistaken", "Mistaken", "Points more of the other images predicted as this class with the word than without it"),
    gap("severity", "Severity", "The larger of the two gaps, in points; of findings shrunk for having been found"),
    { name: "Unseen", about: "Gaps below this, in points, would most likely have gone unseen", value: (row) => row.unseen, cell: (row) => points(row.unseen) },
    { name: "Images", about: "Images of the class that have the word", value: (row) => row.imagesWith, cell: (row) => String(row.imagesWith) },
  ];
}

/** Adds the same sort buttons to a table of the page. */
function makeSortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const valueOf = (row, i) => {
    const cell = row.cells[i];
    const text = cell.dataset.value ?? cell.textContent;
    return !cell.classList.contains("r") ? text : text === "" ? null : Number(text);
  };
  heads.forEach((head, i) => {
    const button = make("button", { type: "button" }, head.textContent, make("span", { class: "sign", "aria-hidden": "true" }));
    button.addEventListener("click", () => {
      const down = head.hasAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : head.classList.contains("r");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => compareValues(valueOf(a, i), valueOf(b, i), down)));
    });
    head.replaceChildren(button);
  });
}
