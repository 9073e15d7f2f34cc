"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const tables = Object.fromEntries(
  Object.entries(data.colormaps).map(([name, text]) => [name, colormapTable(text)]));
const byId = (id) => document.getElementById(id);
const cache = new WeakMap();  // of what was decoded: entry or map -> promise
let shown = [];               // the entries that the filters let through, in order
let current = -1;             // the index in `shown` of the large picture

const className = (index) => data.class_names[index] || `class ${index}`;
const isWrong = (entry) => entry.true_label !== null && entry.predicted !== null
  && entry.true_label !== entry.predicted;
const isRight = (entry) => entry.true_label !== null && entry.true_label === entry.predicted;
const isBad = (entry) => entry.status !== "ok" && entry.status !== "empty";
const outside = (entry) => Math.max(-1, ...entry.maps.map((map) => map.outside ?? -1));

const SHOW = {
  all: () => true,
  wrong: isWrong,
  right: isRight,
  changed: (entry) => entry.before !== null && entry.before !== entry.predicted,
  empty: (entry) => entry.maps.some((map) => map.status === "empty"),
  outside: (entry) => outside(entry) > 0.5,
  odd: (entry) => entry.unlike !== null && entry.unlike > data.odd_from,
  bad: isBad,
  missing: (entry) => entry.missing !== null,
};
// Missing values come last, whatever the direction.
const descending = (value) => (a, b) => (value(b) ?? -Infinity) - (value(a) ?? -Infinity);
const ascending = (value) => (a, b) => (value(a) ?? Infinity) - (value(b) ?? Infinity);
const ORDER = {
  source: () => 0,
  sure: descending((entry) => entry.certainty),
  unsure: ascending((entry) => entry.certainty),
  mistakes: (a, b) => isWrong(b) - isWrong(a) || ORDER.sure(a, b),
  outside: descending((entry) => (outside(entry) < 0 ? null : outside(entry))),
  odd: descending((entry) => entry.unlike),
  alike: ascending((entry) => entry.alike),
  name: (a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0),
};

function decoded(key, load) {
  if (!cache.has(key)) cache.set(key, load());
  return cache.get(key);
}

async function layersOf(entry, map) {
  const picture = entry.picture
    ? await decoded(entry, () => loadImage("jpeg", entry.picture)) : null;
  const heat = map && map.heat && map.status === "ok"
    ? await decoded(map, () => loadLevels(map.heat)) : null;
  const detected = map && map.detected_box ? [map.detected_box] : [];
  return { picture, heat, boxes: [...entry.boxes, ...detected], size: entry.size };
}

// The map that the sheet shows: by this method at this layer, of the question with this rank.
function mapOnSheet(entry) {
  const chosen = entry.maps.filter((map) => kindOf(map) === byId("kind").value);
  const maps = chosen.length ? chosen : entry.maps;
  const questions = [...new Set(maps.map((map) => map.question))];
  const question = questions[Math.min(Number(byId("rank").value), questions.length - 1)];
  return maps.find((map) => map.question === question) || null;
}
const kindOf = (map) => `${map.method} at ${map.layer}`;

function look(least) {
  return { table: tables[byId("colormap").value], opacity: byId("opacity").value / 100, least };
}

async function drawTile(tile) {
  const entry = tile.entry, frame = tile.querySelector(".frame");
  if (!entry.picture && !entry.maps.some((map) => map.heat)) return;
  let canvas = frame.querySelector("canvas");
  if (!canvas) {
    canvas = element("canvas");
    frame.replaceChildren(canvas);
  }
  paint(canvas, await layersOf(entry, mapOnSheet(entry)), look(320));
}

const watcher = new IntersectionObserver((changes) => {
  for (const change of changes) {
    change.target.isNear = change.isIntersecting;
    if (change.isIntersecting) drawTile(change.target);
    else change.target.querySelector("canvas")?.remove();  // Canvases take memory.
  }
}, { rootMargin: "400px" });

function answerOf(entry) {
  const map = mapOnSheet(entry);
  if (entry.predicted === null) {
    if (!map) return [entry.note ?? entry.status, ""];
    const text = map.class === null && map.sentence ? map.sentence : map.question;
    return [text, map.probability === null ? "" : percent(map.probability)];
  }
  return [className(entry.predicted), entry.certainty === null ? "" : percent(entry.certainty)];
}

function makeTile(entry) {
  const tile = element("button", { type: "button", class: "tile", tabindex: "-1" });
  const [answer, certainty] = answerOf(entry);
  const truth = isWrong(entry) ? ["wrong", `✗ true: ${className(entry.true_label)}`]
    : isRight(entry) ? ["right", "✓ right"] : null;
  const frame = element("span", { class: "frame" });
  const words = element("span", { class: "words" },
    element("span", { class: "answer" }, element("span", {}, answer),
      element("span", {}, certainty)));
  if (!entry.picture) {
    frame.append(element("span", { class: "none" }, isBad(entry) ? entry.status : "no picture"));
  }
  if (SHOW.changed(entry)) {
    words.append(element("span", { class: "wrong" }, `before: ${className(entry.before)}`));
  }
  if (truth) words.append(element("span", { class: truth[0] }, truth[1]));
  words.append(element("span", { class: "file", title: entry.path }, fileName(entry.path)));
  tile.append(frame, words);
  tile.entry = entry;
  return tile;
}
const fileName = (path) => path.replace(/\/+$/, "").split("/").pop() || path;

function tiles() {
  return [...byId("sheet").querySelectorAll(".tile")];
}

function showSheet() {
  const words = byId("search").value.toLowerCase();
  const [truth, answer] = [byId("true").value, byId("answer").value];
  shown = data.entries.filter((entry) => SHOW[byId("show").value](entry)
    && (truth === "" || String(entry.true_label) === truth)
    && (answer === "" || String(entry.predicted) === answer)
    && (words === "" || entry.path.toLowerCase().includes(words)
      || entry.id.toLowerCase().includes(words)));
  shown.sort(ORDER[byId("sort").value]);
  watcher.disconnect();
  byId("sheet").replaceChildren(...shown.map((entry) => element("li", {}, makeTile(entry))));
  const all = tiles();
  if (all.length) all[0].tabIndex = 0;
  all.forEach((tile) => watcher.observe(tile));
  const total = data.entries.length;
  const noun = total === 1 ? "image" : "images";
  byId("count").textContent = shown.length === total ? `${total} ${noun}`
    : `${shown.length} of ${total} ${noun}`;
}

function redraw() {
  for (const tile of tiles()) if (tile.isNear) drawTile(tile);
  if (byId("large").open) drawLarge();
}

function moveFocus(event) {
  const all = tiles(), index = all.indexOf(document.activeElement);
  if (index < 0) return;
  const top = all[0].offsetTop;
  const columns = Math.max(1, all.filter((tile) => tile.offsetTop === top).length);
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
    Home: -index, End: all.length - 1 - index };
  if (!(event.key in steps)) return;
  event.preventDefault();
  const next = all[Math.min(all.length - 1, Math.max(0, index + steps[event.key]))];
  all[index].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

// The large picture.

function openLarge(index) {
  current = index;
  const entry = shown[index], map = mapOnSheet(entry);
  byId("large-map").replaceChildren(...entry.maps.map((each, place) =>
    element("option", { value: place },
      `${each.question} · ${kindOf(each)}${each.status === "empty" ? " · empty" : ""}`)));
  byId("large-map").value = String(Math.max(0, entry.maps.indexOf(map)));
  byId("large-map").disabled = entry.maps.length < 2;
  byId("previous").disabled = index === 0;
  byId("next").disabled = index === shown.length - 1;
  drawLarge();
  if (!byId("large").open) byId("large").showModal();
}

async function drawLarge() {
  const entry = shown[current], map = entry.maps[Number(byId("large-map").value)] || null;
  byId("large-title").textContent = fileName(entry.path);
  byId("large-path").textContent = entry.path;
  const stage = byId("large-canvas"), hasPicture = entry.picture || (map && map.heat);
  stage.hidden = !hasPicture;
  byId("large-missing").textContent = entry.error || entry.missing || "";
  listNumbers(entry, map);
  listRaw(map);
  if (!hasPicture) return;
  const layers = await layersOf(entry, map);
  if (shown[current] !== entry) return;
  paint(stage, layers, look(560));
  stage.heat = layers.heat;
  stage.setAttribute("aria-label", map ? `${map.question}: heat on ${fileName(entry.path)}`
    : fileName(entry.path));
}

function listNumbers(entry, map) {
  const number = (value) => (value === null ? null : String(Number(value.toPrecision(6))));
  const rows = [
    ["Answer", entry.predicted === null ? null : className(entry.predicted)],
    ["Answer before", entry.before === null ? null : className(entry.before)],
    ["Similarity of the maps", number(entry.alike)],
    ["True class", entry.true_label === null ? null
      : className(entry.true_label) + (isWrong(entry) ? " (wrong)" : "")],
    ["Status", entry.status],
    ...(map ? [
      ["Sentence", map.sentence],
      ["Question", map.question],
      ["Probability", map.probability === null ? null : percent(map.probability)],
      ["Score", number(map.score)],
      ["Box", map.detected_box ? boxText(map.detected_box) : null],
      ["Method", map.method], ["Layer", map.layer],
      ["Heat outside the objects", map.outside === null ? null : percent(map.outside)],
      ["Sum of positive cells", number(map.positive_mass)],
      ["Sum of negative cells", number(map.negative_mass)],
    ] : []),
    ["Distance to the class's mean map", number(entry.unlike)],
    ["Size", entry.size ? `${entry.size[1]} × ${entry.size[0]} pixels` : null],
    ["Number", String(entry.number)],
    ["Note", entry.note],
    ["SHA-256", entry.sha256],
  ];
  byId("numbers").replaceChildren(...rows.filter(([, value]) => value).map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value))));
}

function boxText(box) {
  const [x, y, width, height] = box.map(Math.round);
  return `${width} × ${height} pixels at ${x}, ${y}`;
}

function listRaw(map) {
  byId("raw").hidden = !(map && map.cam);
  if (byId("raw").hidden) return;
  const [height, width] = map.shape;
  const cells = new Float32Array(base64Bytes(map.cam).buffer);
  byId("raw-title").textContent = `The raw map, ${height} × ${width}`;
  byId("raw-cells").replaceChildren(...Array.from({ length: height }, (_, row) =>
    element("tr", {}, ...Array.from({ length: width }, (_, column) =>
      element("td", {}, cells[row * width + column].toPrecision(3))))));
}

function readHeat(event) {
  const canvas = byId("large-canvas"), heat = canvas.heat, entry = shown[current];
  if (!heat || !entry.size) return;
  const box = canvas.getBoundingClientRect();
  const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  const level = heat.levels[Math.min(heat.height - 1, Math.floor(y * heat.height)) * heat.width
    + Math.min(heat.width - 1, Math.floor(x * heat.width))];
  byId("reading").textContent = `x ${Math.floor(x * entry.size[1])}, y ${
    Math.floor(y * entry.size[0])}: heat ${(level / 255).toFixed(2)}`;
}

function step(by) {
  const index = current + by;
  if (index >= 0 && index < shown.length) openLarge(index);
}

// Printing needs all pictures, not only those near the window.
async function drawAll() {
  for (const tile of tiles()) {
    watcher.unobserve(tile);
    await drawTile(tile);
  }
}

async function printAll() {
  await drawAll();
  window.print();
}

function connect() {
  for (const id of ["show", "true", "answer", "sort", "search"]) {
    byId(id).addEventListener("input", showSheet);
  }
  for (const id of ["rank", "kind", "opacity", "colormap"]) byId(id).addEventListener("input", redraw);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { byId("controls").reset(); showSheet(); });
  byId("print").addEventListener("click", printAll);
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "p") return;
    event.preventDefault();  // The browser would print what was never on the screen blank.
    printAll();
  });
  byId("sheet").addEventListener("keydown", moveFocus);
  byId("sheet").addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) openLarge(tiles().indexOf(tile));
  });
  byId("large-map").addEventListener("input", drawLarge);
  byId("large-opacity").addEventListener("input", (event) => {
    byId("opacity").value = event.target.value;
    redraw();
  });
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => byId("large").close());
  byId("large").addEventListener("close", () => tiles()[current]?.focus());
  byId("large").addEventListener("keydown", (event) => {
    if (event.target.matches("select, input")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  byId("large-canvas").addEventListener("pointermove", readHeat);
  for (const cell of document.querySelectorAll("[data-true]")) {
    cell.addEventListener("click", () => {
      byId("controls").reset();
      byId("true").value = cell.dataset.true;
      byId("answer").value = cell.dataset.answer;
      showSheet();
      byId("pictures").scrollIntoView();
      byId("show").focus({ preventScroll: true });
    });
  }
}

connect();
showSheet();
if (location.hash === "#print") drawAll().then(() => { document.title += " "; });
document.documentElement.dataset.ready = "yes";
