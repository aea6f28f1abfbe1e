// Puts the parts into the page: theme, findings' examples, class sections with their filters, right against wrong.

const root = document.documentElement;

function setUpTheme() {
  const button = document.getElementById("theme");
  const wanted = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : wanted.matches);
  const name = () => (button.textContent = isDark() ? "Light" : "Dark");
  try { // some browsers have no storage for files opened by double click
    const stored = localStorage.getItem("wordsight-theme");
    if (stored) root.dataset.theme = stored;
  } catch { /* the system's theme */ }
  button.append(" ");
  name();
  button.setAttribute("aria-label", "Change between the light and the dark theme");
  wanted.addEventListener("change", name);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    name();
    try { localStorage.setItem("wordsight-theme", root.dataset.theme); } catch { /* see above */ }
  });
}

const EXAMPLES = {
  with: (f) => `${f.label} with ${quoted(data.words[f.word])}, predicted right`,
  missed: (f) => `${f.label} missed, lowest rate of ${quoted(data.words[f.word])} first`,
  mistaken: (f) => `Mistaken for ${f.label}, highest rate of ${quoted(data.words[f.word])} first`,
};

function setUpFinding(card) {
  const finding = data.findings[Number(card.dataset.finding)];
  const examples = card.querySelector(".examples");
  const actions = make("p", { class: "actions" });
  const strips = Object.entries(EXAMPLES).filter(([kind]) => finding.examples[kind].length);
  for (const [kind, title] of strips) {
    const tiles = make("ul", { class: "tiles" }, ...finding.examples[kind].map((index) => make("li", {}, tile(index, finding.word))));
    examples.append(make("div", { class: "strip" }, make("h4", { class: "name" }, title(finding)), tiles));
  }
  if (strips.some(([kind]) => anyHeat(finding.examples[kind], finding.word))) {
    const lay = (on) => examples.querySelectorAll(".thumbnail").forEach((image) => heat(image, on ? finding.word : null));
    actions.append(heatToggle(finding.word, lay));
  }
  const all = make("button", { type: "button", class: "quiet", onclick: () => openWord(finding.word, data.classes.indexOf(finding.label)) }, `All images of ${finding.label} with ${quoted(data.words[finding.word])}`);
  actions.append(all);
  examples.append(actions);
}

function setUpCopy(command) {
  const [text, copy] = [command.querySelector("code"), command.querySelector(".copy")];
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copy.textContent = "Copied";
    } catch { // not allowed for a file: choose the text, so that one key copies it
      getSelection().selectAllChildren(text);
      copy.textContent = "Selected";
    }
  });
}

const filter = { label: null, word: "", verdict: "" };
const matches = (row) => (!filter.verdict || row.verdict === filter.verdict) && row.name.toLowerCase().includes(filter.word);
const built = new Map();

/** Fills a class's section when it is first opened: a page with hundreds of classes would open slowly otherwise. */
function buildClass(section) {
  const label = Number(section.dataset.class);
  const own = rows.filter((row) => row.label === label);
  const chart = section.querySelector("[data-chart=scatter]");
  if (chart) scatter(chart, label);
  section.querySelectorAll(".cloud text").forEach((text) => {
    const word = data.words.indexOf(text.dataset.word);
    text.addEventListener("click", () => openWord(word, label));
  });
  let update = () => {};
  if (own.length) {
    const table = sortable(`Words of ${data.classes[label]}`, wordColumns(label));
    section.querySelector(".class-table").append(table.element);
    update = () => table.update(own.filter(matches));
    update();
  }
  const images = data.images.flatMap((image, i) => (image.label === data.classes[label] ? [i] : []));
  images.sort((a, b) => (data.images[a].label === data.images[a].predicted) - (data.images[b].label === data.images[b].predicted));
  if (images.length) {
    const heated = [...new Set(images.flatMap((i) => Object.keys(data.images[i].heat).map(Number)))];
    section.querySelector(".class-gallery").append(make("h4", {}, "Images, wrong ones first"), gallery(images, { words: heated, step: 16 }));
  }
  return update;
}

function setUpClasses() {
  const sections = [...document.querySelectorAll("details.class")];
  const status = document.getElementById("filter-status");
  const ensure = (section) => built.has(section) || built.set(section, buildClass(section));
  sections.forEach((section) => {
    section.addEventListener("toggle", () => section.open && ensure(section));
    if (section.open) ensure(section);
  });
  const apply = () => {
    const narrowed = filter.word !== "" || filter.verdict !== "";
    let [words, classes, opened] = [0, 0, 0];
    for (const section of sections) {
      const label = Number(section.dataset.class);
      const found = rows.filter((row) => row.label === label && matches(row)).length;
      const shown = (filter.label === null || filter.label === label) && (found > 0 || !narrowed);
      section.hidden = !shown;
      if (!shown) continue;
      words += found;
      classes += 1;
      // Open the sections that match, at most five.
      if ((narrowed || filter.label !== null) && opened++ < 5) section.open = true;
      if (section.open) ensure(section);
      built.get(section)?.();
    }
    document.querySelectorAll(".finding").forEach((card) => {
      const finding = data.findings[Number(card.dataset.finding)];
      const label = data.classes.indexOf(finding.label);
      card.hidden = (filter.label !== null && filter.label !== label) || !data.words[finding.word].toLowerCase().includes(filter.word);
    });
    status.textContent = `${plural(words, "word")} in ${classes === 1 ? "1 class" : `${classes} classes`}`;
  };
  const form = status.closest("form");
  const read = () => {
    const label = form.querySelector("#class-filter").value;
    filter.label = label === "" ? null : Number(label);
    filter.word = form.querySelector("#word-filter").value.trim().toLowerCase();
    filter.verdict = form.querySelector("#verdict-filter").value;
    apply();
  };
  form.addEventListener("input", read);
  form.addEventListener("reset", () => setTimeout(read)); // the fields are cleared after the event
  form.addEventListener("submit", (event) => event.preventDefault());
  read();
}

function setUpSides() {
  const select = document.getElementById("sides-class");
  if (!select) return;
  const sides = data.sides.map((side) => ({
    ...side,
    rows: side.rows.map(([word, here, elsewhere, value, low, high, area, areaLow, areaHigh, q]) => ({ word, here, elsewhere, gap: { value, low, high }, area: { value: area, low: areaLow, high: areaHigh }, q })),
  }));
  const wordOf = (row) => data.words.indexOf(row.word);
  const table = sortable(
    "Table of words of right and of wrong images",
    [
      { name: "Word", text: true, value: (row) => row.word, cell: (row) => make("button", { type: "button", class: "word", onclick: () => openWord(wordOf(row)) }, row.word) },
      { name: "Right", about: "Mean rate of images predicted right", value: (row) => row.here, cell: (row) => percent(row.here) },
      { name: "Wrong", about: "Mean rate of images predicted wrong", value: (row) => row.elsewhere, cell: (row) => percent(row.elsewhere) },
      { name: "Difference", about: "In points, with Welch's 95% interval", value: (row) => row.gap.value, cell: (row) => estimateCell(row.gap, points) },
      { name: "Separation", about: "Chance that an image predicted right has a higher rate than an image predicted wrong", value: (row) => row.area.value, cell: (row) => two(row.area.value) },
      { name: "q", about: "Benjamini-Hochberg", value: (row) => row.q, cell: (row) => (row.q < 0.001 ? "<0.001" : row.q.toFixed(3)) },
    ],
    { step: 12 },
  );
  const note = make("p", { class: "small faint" });
  document.getElementById("sides-table").append(table.element, note);
  const fill = () => {
    const side = sides[Number(select.value)];
    sidesChart(document.querySelector("[data-chart=sides]"), side);
    table.update(side.rows);
    const left = side.compared - side.rows.length;
    note.textContent = left ? `The ${side.rows.length} clearest of ${plural(side.compared, "word")} that were compared.` : "";
  };
  select.addEventListener("change", fill);
  fill();
}

setUpTheme();
document.querySelectorAll(".finding").forEach(setUpFinding);
document.querySelectorAll(".command").forEach(setUpCopy);
setUpClasses();
setUpSides();
document.querySelectorAll("[data-chart=mitigations]").forEach((figure) => mitigationChart(figure, data.mitigations[Number(figure.dataset.number)]));
document.querySelectorAll("table.sortable").forEach(makeSortable);
root.dataset.ready = "true";
