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

const element = (id) => document.getElementById(id);
const parameterNames = ["temperature", "rebalancing"];
let models = [];
let photo; // {name, type, width, height}: the one that is shown
let seed = 0;

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
  return { model, parameters, seed, saturation: +element("saturation").value };
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

/** The controls of the chosen model, with its defaults. */
function fitControls() {
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
