"use strict";
const byId = (id) => document.getElementById(id);
const state = { model: null, tables: {}, file: null, whole: null, part: null, asked: 0 };

const isAsked = () => state.file !== null;

function say(sentence) {
  byId("message").textContent = sentence || "";
  byId("message").hidden = !sentence;
}

// What the controls ask, about the whole photograph or a part of it.
function request(extra = {}) {
  const [name, against] = [byId("class").value.trim(), byId("against").value.trim()];
  const methods = [byId("method").value, byId("other").value].filter(Boolean);
  const layer = byId("layer").value;
  return {
    image: state.file.base64, name: state.file.name,
    classes: [against ? `${name || best()} versus ${against}` : name || "top:1"],
    methods: [...new Set(methods)], layers: layer ? [layer] : [], ...extra,
  };
}
const best = () => (state.whole ? String(state.whole.top[0].class) : "top:1");

async function post(path, body) {
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({ error: response.statusText }));
    throw new Error(answer.error);
  }
  return response;
}

// Only the answer to the latest question is shown.
async function ask(extra = {}) {
  if (!isAsked()) return;
  const number = ++state.asked, isPart = "crop" in extra;
  say("");
  byId("busy").textContent = "The net is working.";
  byId("views").classList.add("working");
  try {
    const asked = request(extra);
    const answer = await (await post("/v1/explain", asked)).json();
    if (number !== state.asked) return;
    answer.asked = asked;
    if (isPart) state.part = answer;
    else [state.whole, state.part] = [answer, null];
    await show();
    byId("busy").textContent = "";
  } catch (error) {
    if (number !== state.asked) return;
    byId("busy").textContent = "";
    say(error.message);
  } finally {
    if (number === state.asked) byId("views").classList.remove("working");
  }
}

async function show() {
  const views = [];
  for (const answer of [state.whole, state.part].filter(Boolean)) {
    const picture = await loadImage("jpeg", answer.picture);
    for (const map of answer.maps) {
      const heat = map.heat && map.status === "ok" ? await loadLevels(map.heat) : null;
      views.push({ answer, map, picture, heat });
    }
  }
  byId("views").replaceChildren(...views.map(makeView));
  draw();
  listTop((state.part || state.whole).top);
  const latest = state.part || state.whole;
  byId("answer-title").textContent = state.part ? "Answer about the part"
    : "Answer about the whole";
  byId("command").textContent = latest.command;
  byId("repeat").hidden = byId("looks").hidden = false;
  const [height, width] = state.whole.size;
  byId("x").max = width - 1;
  byId("y").max = height - 1;
  byId("width").max = width;
  byId("height").max = height;
}

function makeView(view, index) {
  const { map, answer } = view;
  const frame = element("div", { class: "frame" }, element("canvas", { role: "img",
    "aria-label": `${map.question}, ${map.method} at ${map.layer}` }));
  const value = map.probability === null ? `score ${Number(map.score.toPrecision(4))}`
    : percent(map.probability);
  const part = answer.crop ? ` of the part at ${answer.crop.join(", ")}` : "";
  const figure = element("figure", {}, frame, element("figcaption", {},
    element("b", {}, map.question), ` ${value}`,
    element("small", {}, `${map.method} at ${map.layer}${part}`
      + (map.status === "empty" ? ": empty, no region stands out" : ""))));
  figure.view = view;
  if (index === 0) {
    figure.classList.add("source");
    dragOn(figure.querySelector("canvas"), frame, answer.size);
  }
  return figure;
}

function draw() {
  for (const figure of byId("views").children) {
    const { picture, heat } = figure.view;
    paint(figure.querySelector("canvas"), { picture, heat }, {
      table: state.tables[byId("colormap").value], opacity: byId("opacity").value / 100,
      least: 480 });
  }
}

// Drag a rectangle over the first picture, and ask about it.
function dragOn(canvas, frame, [height, width]) {
  let start = null, mark = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = (value) => Math.min(1, Math.max(0, value));
    return [inside((event.clientX - box.left) / box.width),
      inside((event.clientY - box.top) / box.height)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
    mark?.remove();
    mark = element("div", { class: "rectangle" });
    frame.append(mark);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!start) return;
    const [x, y, w, h] = spanned(start, at(event));
    Object.assign(mark.style, { left: `${100 * x}%`, top: `${100 * y}%`, width: `${100 * w}%`,
      height: `${100 * h}%` });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const [x, y, w, h] = spanned(start, at(event));
    start = null;
    const box = [Math.floor(x * width), Math.floor(y * height), Math.round(w * width),
      Math.round(h * height)];
    if (box[2] < 2 || box[3] < 2) {
      mark.remove();
      return;
    }
    ["x", "y", "width", "height"].forEach((id, index) => { byId(id).value = box[index]; });
    askPart();
  });
}
const spanned = ([x0, y0], [x1, y1]) =>
  [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];

const box = () => ["x", "y", "width", "height"].map((id) => Number(byId(id).value));

function askPart() {
  if (byId("part").reportValidity()) ask({ crop: box() });
}

function listTop(top) {
  byId("top").replaceChildren(...top.map((entry) => {
    const name = entry.class_name || `class ${entry.class}`;
    const button = element("button", { type: "button", "aria-pressed":
      String(byId("class").value === String(entry.class)) },
    element("span", {}, name), element("span", {}, entry.probability === null
      ? String(Number(entry.score.toPrecision(4))) : percent(entry.probability)));
    if (entry.probability !== null) {
      button.append(element("meter", { min: 0, max: 1, value: entry.probability,
        "aria-hidden": "true" }));
    }
    button.addEventListener("click", () => {
      byId("class").value = String(entry.class);
      ask(state.part ? { crop: state.part.crop } : {});
    });
    return element("li", {}, button);
  }));
}

async function take(file) {
  if (!file) return;
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  state.file = { base64: url.slice(url.indexOf(",") + 1), name: file.name || "pasted.png" };
  for (const id of ["ask", "ask-part", "ask-place"]) byId(id).disabled = false;
  ask();
}

async function download(path, name) {
  say("");
  try {
    const latest = state.part || state.whole;
    const blob = await (await post(path, latest.asked)).blob();
    const link = element("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    say(error.message);
  }
}

function listNet(model) {
  const blobs = model.net.flatMap((layer) => layer.blobs);
  const lanes = blobs.reduce((most, blob) => Math.max(most, blob.lane + 1), 1);
  const pitch = Math.min(14, 170 / lanes);
  byId("net").parentElement.style.setProperty("--graph", `${Math.ceil(lanes * pitch)}px`);
  const below = blobs.slice(1).map((blob) => blob.lines);
  let rows = 0;
  byId("net").replaceChildren(...model.net.flatMap((layer) => layer.blobs.map((blob, index) => {
    const name = element("td", {}, blob.name);
    if (blob.has_map) {
      const button = element("button", { type: "button" }, blob.name);
      button.addEventListener("click", () => chooseLayer(blob.name));
      name.replaceChildren(button);
    }
    const row = element("tr", { "data-blob": blob.name },
      element("td", { class: "graph" }, makeCrossing(blob, below[rows++] || [], pitch)),
      element("th", { scope: "row" }, index ? "" : layer.name),
      element("td", {}, index ? "" : layer.type), name,
      element("td", {}, blob.shape.join(" × ") || "unknown"));
    return row;
  })));
}

// The lines from the row above, those that go on below, and the row's dot.
function makeCrossing(blob, below, pitch) {
  const x = (lane) => (lane + 0.5) * pitch;
  const line = (from, to, y1, y2) => svgElement("line", { x1: x(from), x2: x(to), y1, y2 });
  return svgElement("svg", { "aria-hidden": "true" },
    ...blob.lines.map(([from, to]) => line(from, to, "0%", "50%")),
    ...[...new Set(below.map(([from]) => from))].map((lane) => line(lane, lane, "50%", "100%")),
    svgElement("circle", { cx: x(blob.lane), cy: "50%", r: Math.min(4, pitch / 2) }));
}

function svgElement(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function chooseLayer(name) {
  byId("layer").value = name;
  for (const row of byId("net").rows) row.classList.toggle("chosen", row.dataset.blob === name);
  ask();
}

async function start() {
  const model = await (await fetch("/v1/model")).json();
  state.model = model;
  state.tables = Object.fromEntries(Object.entries(model.colormaps)
    .map(([name, text]) => [name, colormapTable(text)]));
  byId("name").textContent = model.name;
  document.title = `${model.name} · caffe-gradcam`;
  const option = (value, text) => element("option", { value }, text ?? value);
  byId("colormap").append(...Object.keys(model.colormaps).map((name) => option(name)));
  byId("method").append(...model.methods.map((method) => option(method.name)));
  byId("method").value = "grad-cam";
  byId("other").append(option("", "nothing"), ...model.methods.map((method) => option(method.name)));
  const blobs = [...new Set(model.net.flatMap((layer) => layer.blobs)
    .filter((blob) => blob.has_map).map((blob) => blob.name))];
  byId("layer").append(option("", `the model's own (${model.layers.join(", ")})`),
    ...blobs.map((name) => option(name)));
  byId("classes").append(...(model.class_names || []).slice(0, 2000).map((name) => option(name)));
  byId("ask-place").hidden = !model.score_map;
  listNet(model);
  document.documentElement.dataset.ready = "yes";
}

byId("file").addEventListener("change", (event) => take(event.target.files[0]));
byId("questions").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
byId("part").addEventListener("submit", (event) => { event.preventDefault(); askPart(); });
byId("looks").addEventListener("submit", (event) => event.preventDefault());
byId("ask-place").addEventListener("click", () => {
  if (byId("part").reportValidity()) ask({ at: box() });
});
byId("opacity").addEventListener("input", draw);
byId("colormap").addEventListener("input", draw);
byId("figure").addEventListener("click", () => download("/v1/figure", "figure.png"));
byId("arrays").addEventListener("click", () => download("/v1/arrays", "arrays.npz"));
byId("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("command").textContent);
  byId("busy").textContent = "Copied.";
});
document.addEventListener("paste", (event) =>
  take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    byId("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") take(event.dataTransfer.files[0]);
  });
}
start().catch((error) => say(error.message));
