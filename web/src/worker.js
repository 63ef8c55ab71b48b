// Everything that takes long: decoding, the networks, painting. The page asks by messages, one after the other.

import { guidedFilter, paint, predictionSize, smallLightness, strips } from "./colorize.js";
import { changes, distribution, likeliest, pixelOf, withHints } from "./hints.js";
import { AB_SCALE, writeGamutRgb } from "./lab.js";
import { withProvenance } from "./metadata.js";
import { device, load, modelList, run } from "./models.js";

const PREVIEW = 1600; // pixels of the longer side of what is shown; the file to download has all of them
const report = (words, fraction) => postMessage({ progress: words, fraction });
// The one at hand: bitmap, width, height, preview (ImageData); small (of a size), prediction and lines (of a model)
const photo = {};

const answers = { modelList, prepare, open, color, likely, save };
let queue = Promise.resolve();
onmessage = ({ data: { id, method, args } }) => {
  queue = queue.then(async () => {
    try {
      const result = await answers[method](...args);
      postMessage({ id, result }, result?.bitmap ? [result.bitmap] : []);
    } catch (error) {
      postMessage({ id, error: error.message });
    }
  });
};

/** Load what a model needs. */
async function prepare({ graphs }) {
  await Promise.all(graphs.map((graph) => load(graph, report)));
}

/** Decode a file, which turns it upright, and return it small and gray. */
async function open(file) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("This file is damaged, or it is no photo that this browser can read.");
  });
  photo.bitmap?.close(); // not before: where the new one is no photo, the old one stays
  const { width, height } = bitmap;
  Object.assign(photo, { bitmap, width, height, small: {}, prediction: {}, lines: {} });
  const scale = Math.min(1, PREVIEW / Math.max(width, height));
  const canvas = new OffscreenCanvas(Math.max(1, width * scale), Math.max(1, height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  photo.preview = context.getImageData(0, 0, canvas.width, canvas.height);
  return { bitmap: await painted({ planes: Array(4).fill([0]), w: 1, h: 1 }, 0) };
}

/** The photo as shown, in the colors that `choice` (model, parameters, seed, saturation, hints) asks for, and what ran it. */
async function color(choice) {
  return { bitmap: await painted(await predicted(choice), choice.saturation), device: await device() };
}

function painted(lines, saturation) {
  const { width, height, data } = photo.preview;
  const pixels = new Uint8ClampedArray(data);
  paint(pixels, { width, height }, 0, height, lines, saturation);
  return createImageBitmap(new ImageData(pixels, width, height));
}

/** The colors of the whole photo as lines of its lightness, kept until something else is asked for. */
async function predicted(choice) {
  const { ab, changes, key, w, h } = await prediction(choice);
  const keyOfAll = JSON.stringify([key, choice.hints]);
  if (photo.lines.key !== keyOfAll) {
    const { L } = photo.small;
    const planes = guidedFilter(L, withHints(ab, choice.hints, L, changes, w, h), w, h);
    photo.lines = { key: keyOfAll, planes, w, h };
  }
  return photo.lines;
}

/** What the model says, and of the palette how much it changes from place to place; kept, too. */
async function prediction({ model, parameters, seed }) {
  const key = JSON.stringify([model.name, parameters, seed]);
  if (photo.prediction.key !== key) {
    const [w, h] = predictionSize(photo.width, photo.height, model.size);
    if (photo.small.size !== model.size) {
      const L = smallLightness(reader("white"), photo.width, photo.height, w, h);
      photo.small = { size: model.size, L };
    }
    const { ab, probabilities } = await predict(model, parameters, seed, photo.small.L, w, h);
    photo.prediction = { key, w, h, ab, probabilities };
    if (probabilities) photo.prediction.changes = changes(probabilities, w / 4, h / 4);
  }
  return photo.prediction;
}

/** The likeliest colors of a place {x, y}, and all bins that it may have; {color, probability, rgb} at its lightness. */
async function likely(choice, place) {
  const { probabilities, w, h } = await prediction(choice);
  const { bins } = choice.model;
  const L = photo.small.L[pixelOf(place, w, h)];
  const probabilitiesHere = distribution(probabilities, bins.length, pixelOf(place, w / 4, h / 4));
  const painted = ({ color, probability }) => {
    const rgb = [0, 0, 0];
    writeGamutRgb(L, ...color.map((value) => (choice.saturation * value) / AB_SCALE), rgb, 0);
    return { color, probability, rgb };
  };
  const plane = bins.map((color, i) => painted({ color, probability: probabilitiesHere[i] }));
  return { colors: likeliest(probabilitiesHere, bins).map(painted), plane };
}

async function predict(model, parameters, seed, values, w, h) {
  const L = [values, [1, 1, h, w]];
  const number = (value) => [Float32Array.of(value), [1]];
  if (model.name !== "flow") {
    const numbers = Object.entries(parameters).map(([name, value]) => [name, number(value)]);
    const { ab, probabilities } = await run(model.name, { L, ...Object.fromEntries(numbers) }, report);
    return { ab: ab[0], probabilities: probabilities?.[0] };
  }
  const { condition, mean } = await run("flow-condition", { L }, report);
  const { steps } = parameters;
  let x = [gaussian((w * h) / 32, seed), [1, 2, h / 8, w / 8]];
  let ab;
  for (let i = 0; i < steps; i++) {
    const inputs = { x, t: number(i / steps), step: number(1 / steps), condition, mean };
    ({ next: x, ab } = await run("flow-step", inputs, report));
    report("The colors are drawn", (i + 1) / steps);
  }
  return { ab: ab[0] };
}

/** Normal random numbers of a seed: mulberry32, then Box and Muller. */
function gaussian(count, seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float32Array.from({ length: count }, normal);
}

/** A function that reads rows of the photo, on a background or, without one, with its transparency. */
function reader(background) {
  const canvas = new OffscreenCanvas(1, 1);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: !background });
  return (top, rows) => {
    [canvas.width, canvas.height] = [photo.width, rows]; // which clears it
    if (background) {
      context.fillStyle = background;
      context.fillRect(0, 0, photo.width, rows);
    }
    context.drawImage(photo.bitmap, 0, -top);
    return context.getImageData(0, 0, photo.width, rows).data;
  };
}

/** The photo at its full size as a file of `type`, with the words in it that its colors are predicted. */
async function save(choice, type, name) {
  const lines = await predicted(choice);
  const read = reader();
  const canvas = new OffscreenCanvas(photo.width, photo.height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser cannot hold a picture of this size.");
  for (const [top, rows] of strips(photo.width, photo.height)) {
    const pixels = read(top, rows);
    paint(pixels, photo, top, rows, lines, choice.saturation);
    context.putImageData(new ImageData(pixels, photo.width, rows), 0, top);
    report("The full size is painted", (top + rows) / photo.height);
  }
  const blob = await canvas.convertToBlob({ type, quality: 0.95 });
  const chosen = choice.hints.length ? ", some chosen by hand" : "";
  return withProvenance(blob, `Colors predicted by ${choice.model.sentence}${chosen}: a guess, not a record.`, name);
}
