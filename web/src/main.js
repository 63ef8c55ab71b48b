// What a visitor sees and does. All that takes long is asked of the worker.

const MAX_MEGAPIXELS = 40;
const HINT = "With the course installed, python -m g2g colorize takes larger photos.";
const NO_PHOTO = "This file is damaged, or it is no photo that this browser can read (JPEG, PNG and WebP always are).";
const TOO_OLD = "This page did not start. Reload it; if that does not help, it needs a browser of 2023 or later.";

const NOTES = {
  palette: "It predicts how likely each color is, and paints a mean of the likely ones.",
  unet: "It paints the mean of the possible colors, which is careful and somewhat pale.",
  cgan: "It was trained against a second network that tells its colors from real ones.",
  flow: "It draws one of many possible colorings, step by step, which takes longer.",
};

// Of hues in steps of 45° on the ab plane, from a* on
const HUES = ["pink", "red", "yellow", "green", "green", "turquoise", "blue", "violet"];

const element = (id) => document.getElementById(id);
const parameterNames = ["temperature", "rebalancing"];
let models = [];
let photo; // {name, type, width, height}: the one that is shown
let seed = 0;
let hints = []; // colors that were chosen: {x, y, color, reach}
let place = { x: 0.5, y: 0.5 }; // of the ring in the photo, from its upper left corner

const waiting = new Map(); // promises of the worker's answers, by number
let worker;
let asked = 0;

function ask(method, ...args) {
  worker.postMessage({ id: ++asked, method, args });
  return new Promise((resolve, reject) => waiting.set(asked, { resolve, reject }));
}

function hear({ data: { id, result, error, progress, fraction } }) {
  if (progress) return say(`${progress} …`, fraction);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  error ? reject(new Error(error)) : resolve(result);
}

function say(words, fraction) {
  if (element("status").textContent !== words) element("status").textContent = words; // a screen reader speaks it
  element("progress").hidden = fraction === undefined;
  if (fraction !== undefined) element("progress").value = fraction;
}

function complain(error) {
  document.querySelector("main").hidden = false;
  say("");
  element("problem").textContent = error.message;
}

/** Show a File in gray, then in color. */
async function open(file) {
  element("problem").textContent = "";
  say("The photo is read …");
  const start = performance.now();
  try {
    const { width, height } = await dimensions(file);
    const megapixels = (width * height) / 1e6;
    if (megapixels > MAX_MEGAPIXELS) {
      const limit = `this page colors at most ${MAX_MEGAPIXELS}`;
      throw new Error(`This photo has ${megapixels.toFixed(0)} megapixels; ${limit}. ${HINT}`);
    }
    const { bitmap } = await ask("open", file);
    photo = { name: file.name, type: file.type, width, height };
    hints = [];
    pick(false);
    show("color", bitmap);
    show("gray", bitmap);
    element("result").hidden = false;
    element("result").scrollIntoView({ block: "nearest" });
    await recolor(start);
  } catch (error) {
    complain(error);
  }
}

/** Width and height of a photo, upright, read without decoding its pixels. */
async function dimensions(file) {
  if (!file.size) throw new Error("This file is empty.");
  const image = new Image();
  image.src = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(image, { onload: resolve, onerror: reject }));
  } catch {
    throw new Error(NO_PHOTO);
  } finally {
    URL.revokeObjectURL(image.src);
  }
  if (!image.naturalWidth) throw new Error(NO_PHOTO);
  return { width: image.naturalWidth, height: image.naturalHeight };
}

function show(id, bitmap) {
  const canvas = element(id);
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

/** What the controls say. */
function choice() {
  const model = models.find(({ name }) => name === element("model").value);
  const changed = parameterNames.filter((name) => name in model.parameters).map((name) => [name, +element(name).value]);
  const parameters = { ...model.parameters, ...Object.fromEntries(changed) };
  const saturation = +element("saturation").value;
  return { model, parameters, seed, saturation, hints: model.bins ? hints : [] };
}

let coloring = false;
let outdated = false; // a control has moved, or another photo has come, while the worker was at it
let started;

async function recolor(start = performance.now()) {
  [outdated, started] = [true, start];
  if (coloring || !photo) return;
  coloring = true;
  try {
    while (outdated) {
      outdated = false;
      const { bitmap, device } = await ask("color", choice());
      show("color", bitmap);
      if (!outdated) say(`Colored in ${((performance.now() - started) / 1000).toFixed(1)} s, on ${device}.`);
    }
  } finally {
    coloring = false;
  }
}

async function download() {
  const { name, width, height } = photo;
  const [type, suffix] = photo.type === "image/jpeg" ? ["image/jpeg", "jpg"] : ["image/png", "png"];
  const blob = await ask("save", choice(), type, name);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/\.[^.]*$/, "")}-color.${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`Saved as ${link.download}, ${width} × ${height} pixels.`);
}

/** Begin or end the choice of colors: the whole photo in color, with a ring in place of the divider. */
function pick(on) {
  element("pick").setAttribute("aria-pressed", on);
  element("compare").classList.toggle("picking", on);
  element("divider").hidden = on;
  element("spot").hidden = !on;
  element("likely").hidden = true;
  if (on) moveTo(place);
}

function moveTo({ x, y }) {
  const within = (value) => Math.min(1, Math.max(0, value));
  place = { x: within(x), y: within(y) };
  const [left, top] = [`${(100 * place.x).toFixed(0)}%`, `${(100 * place.y).toFixed(0)}%`];
  element("spot").style.left = left;
  element("spot").style.top = top;
  element("spot").ariaLabel = `Place ${left} from the left, ${top} from above: arrow keys move it, Enter shows its colors`;
}

/** Show the likeliest colors of the place; with `focus` go to the first. */
async function showLikely(focus) {
  const { colors, plane } = await ask("likely", choice(), place);
  const swatches = colors.map(({ color, probability, rgb }) => {
    const button = document.createElement("button");
    const percent = `${(100 * probability).toFixed(0)}%`;
    button.type = "button";
    button.textContent = percent;
    button.ariaLabel = button.title = `${nameOf(color)} (a* ${color[0]}, b* ${color[1]}), ${percent}`;
    button.style.setProperty("--color", `rgb(${rgb})`);
    button.addEventListener("click", () => take(color).catch(complain));
    return button;
  });
  element("swatches").replaceChildren(...swatches);
  drawPlane(plane);
  element("likely").hidden = false;
  if (focus) swatches[0].focus();
  element("likely").scrollIntoView({ block: "nearest" });
}

function nameOf([a, b]) {
  const chroma = Math.hypot(a, b);
  if (chroma < 8) return "gray";
  const hue = HUES[Math.round((Math.atan2(b, a) * 4) / Math.PI + 8) % 8];
  return chroma < 25 ? `grayish ${hue}` : hue;
}

/** The plane of a* (to the right) and b* (up), each color as large as it is likely. */
function drawPlane(bins) {
  const { width, height } = element("plane");
  const context = element("plane").getContext("2d");
  const most = Math.max(...bins.map(({ probability }) => probability));
  context.clearRect(0, 0, width, height);
  for (const { color, probability, rgb } of bins) {
    const [a, b] = color;
    const side = 14 * Math.sqrt(probability / most);
    context.fillStyle = `rgb(${rgb})`;
    const [x, y] = [width / 2 + (width / 220) * a, height / 2 - (height / 220) * b];
    context.fillRect(x - side / 2, y - side / 2, side, side);
  }
}

/** Color by these choices alone. */
function keep(chosen) {
  hints = chosen;
  return recolor();
}

/** Color the region of the place; a second choice for the same place replaces the first. */
function take(color) {
  const last = hints.at(-1);
  if (last?.x === place.x && last?.y === place.y) hints.pop();
  hints.push({ ...place, color, reach: +element("reach").value });
  return recolor();
}

/** The controls of the chosen model, with its defaults. */
function fitControls() {
  pick(false);
  const { model } = choice();
  for (const control of document.querySelectorAll("[data-for]")) {
    control.hidden = !["all", model.name].includes(control.dataset.for);
  }
  for (const name of parameterNames) if (name in model.parameters) element(name).value = model.parameters[name];
  for (const input of document.querySelectorAll("#controls input")) showValue(input);
  element("about").textContent = `${NOTES[model.name]} ${model.sentence.replace(/ \([^(]*\)$/, "")}.`; // without a path
}

function showValue(input) {
  input.closest("label").querySelector("b").textContent = (+input.value).toFixed(2);
}

function listen() {
  const guarded = (action) => (event) => Promise.resolve(action(event)).catch(complain);
  const first = (list) => [...list].find((file) => file.type.startsWith("image/")) ?? list[0];
  for (const id of ["choose", "camera"]) {
    element(id).addEventListener("change", ({ target }) => target.files[0] && open(target.files[0]));
    element(id).addEventListener("click", ({ target }) => (target.value = "")); // the same photo once more is a change
  }
  document.addEventListener("paste", ({ clipboardData: { files } }) => files.length && open(first(files)));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    element("drop").classList.add("over");
  });
  document.addEventListener("dragleave", () => element("drop").classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    element("drop").classList.remove("over");
    const { files } = event.dataTransfer;
    files.length ? open(first(files)) : complain(new Error("That was no file: save the photo first, then drop it here."));
  });
  element("examples").addEventListener(
    "click",
    guarded(async ({ target }) => {
      const image = target.closest("button")?.querySelector("img");
      if (!image) return;
      const blob = await (await fetch(image.src)).blob();
      await open(new File([blob], image.src.split("/").pop(), { type: blob.type }));
    }),
  );
  element("divider").addEventListener("input", ({ target }) => {
    element("compare").style.setProperty("--split", `${target.value}%`);
  });
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  element("controls").addEventListener(
    "input",
    guarded(({ target }) => {
      target === element("model") ? fitControls() : showValue(target);
      return recolor();
    }),
  );
  element("pick").addEventListener("click", ({ target }) => {
    pick(target.ariaPressed === "false");
    if (!element("spot").hidden) element("spot").focus();
  });
  element("compare").addEventListener(
    "click",
    guarded(({ clientX, clientY, detail }) => {
      if (element("spot").hidden) return;
      const { left, top, width, height } = element("color").getBoundingClientRect();
      if (detail) moveTo({ x: (clientX - left) / width, y: (clientY - top) / height }); // by keyboard it is 0
      return showLikely(!detail);
    }),
  );
  element("spot").addEventListener("keydown", (event) => {
    const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (x === undefined) return;
    event.preventDefault();
    moveTo({ x: place.x + x / 50, y: place.y + y / 50 });
  });
  element("reach").addEventListener(
    "input",
    guarded(({ target }) => {
      if (!hints.length) return;
      hints.at(-1).reach = +target.value;
      return recolor();
    }),
  );
  element("undo").addEventListener("click", guarded(() => keep(hints.slice(0, -1))));
  element("clear").addEventListener("click", guarded(() => keep([])));
  element("again").addEventListener("click", guarded(() => (seed++, recolor())));
  element("download").addEventListener("click", guarded(download));
}

/** A service worker keeps what is loaded, so on a first visit it has to be there before anything large is. */
async function workOffline() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return; // an address without https
  const there = new Promise((resolve) => serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
  const { active } = await serviceWorker.register("sw.js");
  if (!active) await Promise.race([there, new Promise((resolve) => setTimeout(resolve, 5000))]);
}

async function start() {
  await workOffline().catch((error) => console.warn(`The page will not work offline: ${error.message}`));
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.onmessage = hear;
  worker.onerror = () => complain(new Error(TOO_OLD));
  models = (await ask("modelList")).models;
  for (const { name, title } of models) element("model").add(new Option(title, name));
  fitControls();
  listen();
  document.querySelector("main").hidden = false;
  await ask("prepare", models[0]);
  if (!photo) say("Ready.");
}

start().catch(complain);
