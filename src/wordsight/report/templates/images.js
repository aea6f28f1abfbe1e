// Images, heat maps over them, and galleries of both.

const HEAT = [255, 40, 90];

/** The thumbnail of an image, which a heat map can be laid over; hidden from screen readers, for which its container has a text. */
function thumbnail(index) {
  const image = data.images[index];
  const shown = image.thumbnail
    ? make("img", { src: image.thumbnail, alt: "", decoding: "async", width: 128, height: 128 })
    : make("span", { class: "missing" }, make("span", { class: "name" }, image.name), "cannot be read");
  return make("span", { class: "thumbnail", "data-index": index }, shown);
}

/** Lays the heat map of a word over a thumbnail, or removes it (word null). */
function heat(element, word) {
  element.querySelector("canvas")?.remove();
  const map = word === null ? null : data.images[Number(element.dataset.index)].heat[word];
  if (!map || !data.images[Number(element.dataset.index)].thumbnail) return;
  const [height, width, cells] = map;
  const canvas = make("canvas", { width, height, "aria-hidden": "true" });
  const pixels = new ImageData(width, height);
  const bytes = atob(cells);
  for (let i = 0; i < bytes.length; i++) pixels.data.set([...HEAT, 0.7 * bytes.charCodeAt(i)], 4 * i);
  canvas.getContext("2d").putImageData(pixels, 0, 0); // a few cells, which the browser enlarges and smooths
  element.append(canvas);
}

function tile(index, word) {
  const image = data.images[index];
  const right = image.label === image.predicted;
  const rate = word === null ? null : (image.rates.get(word) ?? 0);
  const description =
    `${image.name}: ${image.label}, predicted ${right ? "right" : `as ${image.predicted}`}` +
    (rate === null ? "" : `, ${quoted(data.words[word])} in ${percent(rate)} of its sentences`);
  return make(
    "button",
    { type: "button", class: right ? "tile" : "tile wrong", onclick: () => openImage(index, word), title: image.name },
    thumbnail(index),
    hidden(description),
    make(
      "span",
      { class: "caption", "aria-hidden": "true" },
      make("span", { class: "name" }, right ? image.label : `\u2192 ${image.predicted}`),
      rate === null ? "" : make("span", { class: "number" }, percent(rate)),
    ),
  );
}

/** A button that is pressed while heat maps of a word are shown; ``lay`` shows and removes them. */
function heatToggle(word, lay) {
  const toggle = make("button", { type: "button", class: "quiet heat-toggle", "aria-pressed": "false" }, `Show where ${quoted(data.words[word])} comes from`);
  toggle.addEventListener("click", () => {
    const on = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(on));
    lay(on);
  });
  return toggle;
}

/** Tiles of images, ``step`` at a time, with a button for more and one for heat maps of ``word`` if there are any. */
function gallery(indices, { word = null, step = 24, words = [] } = {}) {
  const element = make("div", { class: "gallery" });
  const tiles = make("ul", { class: "tiles" });
  const more = make("button", { type: "button", class: "quiet" });
  let heated = null;
  let count = 0;
  const grow = () => {
    for (const index of indices.slice(count, count + step)) {
      const button = tile(index, word);
      if (heated !== null) heat(button.querySelector(".thumbnail"), heated);
      tiles.append(make("li", {}, button));
    }
    count = Math.min(indices.length, count + step);
    const left = indices.length - count;
    more.textContent = left > step ? `Show ${step} more of ${left}` : `Show ${left} more`;
    more.hidden = count >= indices.length;
  };
  more.addEventListener("click", () => {
    const first = tiles.children.length;
    grow();
    tiles.children[first]?.querySelector("button").focus();
  });
  const lay = (chosen) => {
    heated = chosen;
    tiles.querySelectorAll(".thumbnail").forEach((image) => heat(image, chosen));
  };
  if (word !== null && anyHeat(indices, word)) {
    element.append(heatToggle(word, (on) => lay(on ? word : null)));
  } else if (word === null && words.length) {
    const select = make("select", {}, make("option", { value: "" }, "no heat map"), ...words.map((w) => make("option", { value: w }, data.words[w])));
    select.addEventListener("change", () => lay(select.value === "" ? null : Number(select.value)));
    element.append(make("label", { class: "small" }, "Where a word comes from ", select));
  }
  grow();
  element.append(tiles, more);
  return element;
}
