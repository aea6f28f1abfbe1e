// Charts: SVG in the page's own colours. Each has a description in words; the table beside it has the numbers.

const COLOURS = { harmful: "var(--harmful)", used: "var(--used)", untested: "var(--untested)", encoded: "var(--encoded)", class: "var(--class)", none: "var(--faint)" };

/** Draws into a figure at its width, and again when the width changes; ``draw`` takes the width and gives an element. */
function drawInto(figure, draw, caption) {
  const plot = make("div", { class: "plot" });
  figure.replaceChildren(plot, make("figcaption", { class: "small faint" }, caption));
  let last = 0;
  const again = () => {
    const width = Math.floor(plot.clientWidth);
    if (width < 50 || width === last) return;
    last = width;
    plot.replaceChildren(draw(width));
  };
  new ResizeObserver(again).observe(plot);
  again();
  return () => { last = 0; again(); };
}

/** A chart as one image with a description for screen readers, instead of all its numbers. */
function described(svg, text) {
  svg.setAttribute("aria-hidden", "true");
  return make("div", { role: "img", "aria-label": text }, svg);
}

function scatter(figure, label) {
  const found = rows.filter((row) => row.label === label && row.used !== null);
  if (!found.length) {
    figure.replaceChildren(make("p", { class: "note" }, "No word is encoded, so the use of words was not measured."));
    return;
  }
  const reach = (row) => row.encoded.value * 2 - 1 + row.used.value + 2 * (row.verdict === "harmful" || row.verdict === "untested");
  const named = [...found].sort((a, b) => reach(b) - reach(a)).slice(0, 12);
  const text = (row) => `${row.name}\nencoded ${two(row.encoded.value)} (${two(row.encoded.low)} to ${two(row.encoded.high)})\nused ${two(row.used.value)} (${two(row.used.low)} to ${two(row.used.high)})\n${VERDICT_NAMES[row.verdict]}`;
  const draw = (width) => {
    const svg = Plot.plot({
      width, height: Math.max(260, Math.min(340, width * 0.62)), marginLeft: 44, marginBottom: 38, marginRight: 24,
      x: { label: "Encoded (chance of a higher rate)", nice: true, labelAnchor: "center", labelArrow: "none", ticks: 5 },
      y: { label: "Used (reliance)", nice: true, grid: true, labelArrow: "none", ticks: 5 },
      marks: [
        Plot.ruleY([0], { stroke: "var(--line-strong)" }),
        Plot.dot(found, { x: (r) => r.encoded.value, y: (r) => r.used.value, fill: (r) => COLOURS[r.verdict], fillOpacity: 0.85, stroke: "var(--panel)", strokeWidth: 1, r: (r) => (r.verdict === "harmful" ? 6 : 4) }),
        Plot.text(spread(named, width), { x: (r) => r.encoded.value, y: (r) => r.used.value, text: "name", dy: -10, fill: "currentColor", stroke: "var(--panel)", strokeWidth: 3, fontSize: 11 }),
        Plot.tip(found, Plot.pointer({ x: (r) => r.encoded.value, y: (r) => r.used.value, title: text, maxRadius: 16, fill: "var(--panel)", stroke: "var(--line-strong)" })),
      ],
      color: { type: "identity" }, r: { type: "identity" },
    });
    svg.addEventListener("click", () => svg.value && openWord(svg.value.word, label));
    const top = named.slice(0, 3).map((row) => quoted(row.name)).join(", ");
    return described(svg, `Words of ${data.classes[label]} by how well they are encoded and how much they are used. The strongest: ${top}. The table has all numbers.`);
  };
  const legend = make("span", { class: "legend" });
  for (const verdict of ["harmful", "untested", "used", "encoded", "class"]) {
    if (found.some((row) => row.verdict === verdict)) legend.append(make("span", { class: `key ${verdict}` }, VERDICT_NAMES[verdict]));
  }
  drawInto(figure, draw, legend);
}

/** The words whose names do not overlap with a name before them. */
function spread(named, width) {
  const x = d3.scaleLinear(d3.extent(named, (r) => r.encoded.value), [0, width - 90]);
  const y = d3.scaleLinear(d3.extent(named, (r) => r.used.value), [240, 0]);
  const shown = [];
  for (const row of named) {
    const free = shown.every((other) => Math.abs(y(row.used.value) - y(other.used.value)) > 13 || Math.abs(x(row.encoded.value) - x(other.encoded.value)) > 3.6 * (row.name.length + other.name.length));
    if (free) shown.push(row);
  }
  return shown;
}

/** Right against wrong: differences with intervals; positive is more when right. */
function sidesChart(figure, side) {
  const shown = [...side.rows].sort((a, b) => a.q - b.q || Math.abs(b.gap.value) - Math.abs(a.gap.value)).slice(0, 16).sort((a, b) => b.gap.value - a.gap.value);
  const draw = (width) => {
    const svg = Plot.plot({
      width, height: 60 + 22 * shown.length, marginLeft: Math.min(120, width / 3.2), marginTop: 30, marginRight: 16,
      x: { axis: "top", label: `\u2190 more when wrong${"\u2003".repeat(2)}points of rate${"\u2003".repeat(2)}more when right \u2192`, labelAnchor: "center", grid: true, transform: (v) => 100 * v, ticks: Math.max(3, width / 90), labelArrow: "none", tickFormat: (v) => String(v).replace("-", MINUS) },
      y: { label: null, domain: shown.map((row) => row.word), tickSize: 0, tickFormat: (word) => (word.length > 16 ? `${word.slice(0, 15)}\u2026` : word) },
      marks: [
        Plot.ruleX([0], { stroke: "var(--line-strong)" }),
        Plot.ruleY(shown, { y: "word", x1: (r) => r.gap.low, x2: (r) => r.gap.high, stroke: (r) => (r.gap.value > 0 ? "var(--right)" : "var(--wrong)"), strokeWidth: 2, strokeOpacity: (r) => (r.q <= 0.05 ? 1 : 0.4) }),
        Plot.dot(shown, { y: "word", x: (r) => r.gap.value, fill: (r) => (r.gap.value > 0 ? "var(--right)" : "var(--wrong)"), fillOpacity: (r) => (r.q <= 0.05 ? 1 : 0.4), r: 4.5 }),
      ],
      color: { type: "identity" }, opacity: { type: "identity" },
    });
    const clear = shown.filter((row) => row.q <= 0.05).map((row) => quoted(row.word));
    return described(svg, `Differences of mean rates between right and wrong images with 95% intervals. ${clear.length ? `Clear at 5%: ${clear.join(", ")}.` : "None is clear at 5%."}`);
  };
  drawInto(figure, draw, "Dots: right less wrong; lines: 95% intervals; pale: not clear at 5%.");
}

const MEASURES = { average: "Average", reweighted: "Reweighted", worst: "Worst group" };

function mitigationChart(figure, mitigation) {
  const found = Object.entries(MEASURES).map(([key, name]) => ({ name, before: mitigation.before[key], after: mitigation.after[key] }));
  const draw = (width) => {
    const svg = Plot.plot({
      width, height: 170, marginLeft: 90, marginRight: 20, marginTop: 14, marginBottom: 40,
      x: { label: "Accuracy (%)", grid: true, transform: (v) => 100 * v, domain: [0, 100], labelAnchor: "center", labelArrow: "none", ticks: 5 },
      y: { label: null, domain: Object.values(MEASURES), tickSize: 0 },
      marks: [
        Plot.arrow(found, { y1: "name", y2: "name", x1: "before", x2: "after", stroke: (r) => (r.after >= r.before ? "var(--right)" : "var(--wrong)"), strokeWidth: 2.5, insetEnd: 7, insetStart: 7 }),
        Plot.dot(found, { y: "name", x: "before", stroke: "currentColor", fill: "var(--panel)", r: 5, strokeWidth: 1.5 }),
        Plot.dot(found, { y: "name", x: "after", fill: (r) => (r.after >= r.before ? "var(--right)" : "var(--wrong)"), r: 6 }),
      ],
      color: { type: "identity" },
    });
    return described(svg, found.map((r) => `${r.name} accuracy ${percent(r.before)} before, ${percent(r.after)} after`).join("; "));
  };
  drawInto(figure, draw, "Open dots: before; filled: after.");
}
