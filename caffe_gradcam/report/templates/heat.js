// Heat on pictures: what the report's page and the server's page share.
"use strict";

function base64Bytes(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function loadImage(type, base64) {
  const image = new Image();
  image.src = `data:image/${type};base64,${base64}`;
  await image.decode();
  return image;
}

// A PNG file of grey levels -> {width, height, levels}.
async function loadLevels(base64) {
  const image = await loadImage("png", base64);
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const levels = new Uint8Array(canvas.width * canvas.height);
  for (let index = 0; index < levels.length; index++) levels[index] = pixels[4 * index];
  return { width: canvas.width, height: canvas.height, levels };
}

// "rrggbb" for each of 256 levels -> an array of bytes.
function colormapTable(text) {
  const table = new Uint8Array(text.length / 2);
  for (let index = 0; index < table.length; index++) {
    table[index] = parseInt(text.substr(2 * index, 2), 16);
  }
  return table;
}

// Colours whose weight is the opacity times the square root of the heat, as in the figures.
function heatCanvas(heat, table, opacity) {
  const canvas = document.createElement("canvas");
  canvas.width = heat.width;
  canvas.height = heat.height;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(heat.width, heat.height);
  heat.levels.forEach((level, index) => {
    pixels.data.set(table.subarray(3 * level, 3 * level + 3), 4 * index);
    pixels.data[4 * index + 3] = 255 * opacity * Math.sqrt(level / 255);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Draw a picture (or nothing), heat and boxes; the longer side has at least `least` pixels.
function paint(canvas, { picture, heat, boxes = [], size }, { table, opacity, least }) {
  const height = picture ? picture.naturalHeight : heat ? heat.height : 96;
  const width = picture ? picture.naturalWidth : heat ? heat.width : 96;
  const factor = Math.max(1, Math.ceil(least / Math.max(height, width)));
  canvas.width = width * factor;
  canvas.height = height * factor;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = factor === 1;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (picture) context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  if (heat) context.drawImage(heatCanvas(heat, table, opacity), 0, 0, canvas.width, canvas.height);
  if (!size) return;
  const down = canvas.height / size[0], across = canvas.width / size[1];
  for (const [x, y, w, h] of boxes) {
    for (const [ink, line] of [["rgb(40 40 40)", 4], ["rgb(255 220 60)", 2]]) {
      context.strokeStyle = ink;
      context.lineWidth = line * Math.max(1, canvas.width / 480);
      context.strokeRect(x * across, y * down, w * across, h * down);
    }
  }
}

function percent(probability) {
  if (probability < 0.001) return "< 0.1 %";
  return probability > 0.999 ? "> 99.9 %" : `${(100 * probability).toFixed(1)} %`;
}

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
