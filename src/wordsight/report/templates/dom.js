"use strict";
// Elements are made with textContent only, never from strings of HTML: labels, words and file names come from outside.

const data = JSON.parse(document.getElementById("data").textContent);

/** An element; attributes that are functions become listeners ("onclick"), null and false are left out. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const MINUS = "\u2212";
const number = (value, digits) => (value === null ? "\u2013" : value.toFixed(digits).replace("-", MINUS).replace(/^\u2212(0(\.0*)?)$/, "$1"));
const percent = (value) => (value === null ? "\u2013" : `${number(100 * value, 0)}%`);
const points = (value) => (value === null ? "\u2013" : number(100 * value, 0));
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const quoted = (word) => `\u201c${word}\u201d`;
const hidden = (text) => make("span", { class: "hidden" }, text);

/** The rows of the table of words as objects; an estimate is null or {value, low, high}. */
const ESTIMATES = ["rate", "encoded", "used", "missed", "mistaken", "severity"];
const rows = data.rows.map(([label, word, verdict, imagesWith, lift, strength, changes, unseen, ...ends], index) => {
  const row = { index, label, word, verdict, imagesWith, lift, strength, changes, unseen, name: data.words[word] };
  ESTIMATES.forEach((name, i) => {
    const [value, low, high] = ends.slice(3 * i, 3 * i + 3);
    row[name] = value === null ? null : { value, low, high };
  });
  return row;
});
const VERDICTS = ["none", "class", "encoded", "used", "untested", "harmful"];
const VERDICT_NAMES = { none: "none", class: "the class itself", encoded: "encoded", used: "used", untested: "relies on, untested here", harmful: "harmful" };

/** The images' rates by the word's number. */
for (const image of data.images) {
  image.rates = new Map();
  for (let i = 0; i < image.words.length; i += 2) image.rates.set(image.words[i], image.words[i + 1]);
}
const anyHeat = (images, word) => images.some((i) => data.images[i].heat[word]);
