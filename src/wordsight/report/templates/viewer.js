// The dialog: the images of a word, or one image with its words; a button leads back.

const viewer = document.getElementById("viewer");
const trail = [];

function show(build) {
  const back = trail.length > 1;
  const close = make("button", { type: "button", class: "quiet", onclick: () => viewer.close() }, "Close");
  const bar = make("div", { class: "viewer-bar" });
  if (back) {
    const previous = () => { trail.pop(); show(trail[trail.length - 1]); };
    bar.append(make("button", { type: "button", class: "quiet", onclick: previous }, "\u2190 Back"));
  }
  bar.append(close);
  viewer.replaceChildren(bar, build());
  if (!viewer.open) viewer.showModal();
  viewer.scrollTop = 0;
  viewer.querySelector("#viewer-title").focus();
}

function enter(build) {
  trail.push(build);
  show(build);
}
viewer.addEventListener("close", () => {
  trail.length = 0;
  viewer.replaceChildren();
});
viewer.addEventListener("click", (event) => event.target === viewer && viewer.close()); // beside the dialog

/** The images that have a word, the highest rate first; of one class, or of all (label null). */
function openWord(word, label = null) {
  let chosen = label;
  enter(() => {
    const title = make("h2", { id: "viewer-title", tabindex: "-1" }, "Images with ", make("q", {}, data.words[word]));
    const content = make("div");
    const fill = () => {
      const name = chosen === null ? null : data.classes[chosen];
      const found = data.images
        .map((image, index) => ({ index, rate: image.rates.get(word) ?? 0, label: image.label }))
        .filter((entry) => entry.rate > 0 && (name === null || entry.label === name))
        .sort((a, b) => b.rate - a.rate)
        .map((entry) => entry.index);
      const row = rows.find((candidate) => candidate.word === word && candidate.label === chosen);
      content.replaceChildren(
        make("p", { class: "faint", role: "status" }, `${plural(found.length, "image")}, the highest rate first`),
        row ? facts(row) : "",
        gallery(found, { word, step: 48 }),
      );
    };
    const select = make("select", {}, make("option", { value: "" }, "All classes"), ...data.classes.map((name, i) => make("option", { value: i }, name)));
    select.value = chosen === null ? "" : String(chosen);
    select.addEventListener("change", () => {
      chosen = select.value === "" ? null : Number(select.value);
      fill();
    });
    fill();
    return make("div", {}, title, make("label", {}, "Class ", select), content);
  });
}

function facts(row) {
  const list = make("dl", { class: "facts" });
  const add = (name, estimate, write) => estimate && list.append(make("div", {}, make("dt", {}, name), make("dd", {}, write(estimate.value), make("span", { class: "faint small" }, ` ${write(estimate.low)} to ${write(estimate.high)}`))));
  add("Rate", row.rate, percent);
  add("Encoded", row.encoded, (v) => number(v, 2));
  add("Used", row.used, (v) => number(v, 2));
  add("Missed, points", row.missed, points);
  add("Mistaken, points", row.mistaken, points);
  if (row.changes !== null) list.append(make("div", {}, make("dt", {}, "Calls that change"), make("dd", {}, percent(row.changes))));
  if (row.unseen !== null) list.append(make("div", {}, make("dt", {}, "Gaps unseen below, points"), make("dd", {}, points(row.unseen))));
  list.append(make("div", {}, make("dt", {}, "Verdict"), make("dd", {}, chip(row.verdict))));
  return list;
}

/** One image: its label and prediction, its typical sentence, its words with rates and heat maps. */
function openImage(index, word = null) {
  enter(() => {
    const image = data.images[index];
    const right = image.label === image.predicted;
    const large = thumbnail(index);
    const about = make("dl", { class: "pairs" });
    const add = (name, value) => value !== null && value !== "" && about.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
    add("Label", image.label);
    add("Predicted", `${image.predicted} (${percent(image.probability)}${right ? "" : ", wrong"})`);
    add("Group", image.group);
    add("Split", image.split);
    add("Typical sentence", image.sentence);
    const toggles = [];
    const words = [...image.rates].sort((a, b) => b[1] - a[1]).slice(0, 30);
    const list = make("ul", { class: "bars words" });
    for (const [w, rate] of words) {
      const name = make("button", { type: "button", class: "word", onclick: () => openWord(w) }, data.words[w]);
      let toggle = "";
      if (image.heat[w]) {
        toggle = make("button", { type: "button", class: "quiet heat-toggle", "aria-pressed": String(w === word) }, "where", hidden(` ${data.words[w]} comes from`));
        toggle.addEventListener("click", () => {
          const on = toggle.getAttribute("aria-pressed") !== "true";
          toggles.forEach((other) => other.setAttribute("aria-pressed", String(on && other === toggle)));
          heat(large, on ? w : null);
        });
        toggles.push(toggle);
      }
      const bar = make("span", { class: "bar", "aria-hidden": "true" }, make("i", { style: `width:${100 * rate}%` }));
      list.append(make("li", {}, make("span", {}, name, " ", toggle), make("span", { class: "number" }, percent(rate)), bar));
    }
    if (word !== null) heat(large, word);
    return make(
      "div",
      {},
      make("h2", { id: "viewer-title", tabindex: "-1", class: "name" }, image.name),
      make("div", { class: "columns" }, make("div", { class: "large" }, large, about), make("div", {}, make("h3", {}, "Its words"), words.length ? list : make("p", {}, "It has none of the words of the audit."))),
    );
  });
}
