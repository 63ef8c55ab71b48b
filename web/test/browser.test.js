// A visitor in Chromium: run by tests/test_web.py, which puts photos into $GIVEN and reads the downloads from $TAKEN.

import assert from "node:assert";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

import { serve } from "./server.js";

const { CHROMIUM, GIVEN, TAKEN } = process.env;
const given = (name) => join(GIVEN, name);
let site, browser, context, page;
const GRAY = 0.01; // rounding may tell a few channels apart, as in g2g
const wrong = []; // requests to another server, or that send something; errors, of the security policy too

before(async () => {
  site = await serve();
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  context = await browser.newContext();
  context.setDefaultTimeout(120_000);
  page = await context.newPage();
  context.on("request", (request) => {
    const [url, method] = [request.url(), request.method()];
    if (method !== "GET" || !(url.startsWith(site.address) || /^(blob|data):/.test(url))) wrong.push(`${method} ${url}`);
  });
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  page.on("pageerror", (error) => wrong.push(error.message));
  await page.goto(site.address);
  await said(/^Ready/);
});

after(async () => {
  await browser.close();
  site.close();
});

/** Wait for words in the status line, or for a problem. */
async function said(pattern, id = "status") {
  const found = ([id, source]) => new RegExp(source).test(document.getElementById(id).textContent);
  await page.waitForFunction(found, [id, pattern.source]);
  return page.textContent(`#${id}`);
}

async function choose(name, pattern = /^Colored/, id = "status") {
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await page.setInputFiles("#choose", given(name));
  return said(pattern, id);
}

async function select(model) {
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await page.selectOption("#model", model);
  await said(/^Colored/);
}

async function download() {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  await file.saveAs(join(TAKEN, file.suggestedFilename()));
  return file.suggestedFilename();
}

/** A number for what a canvas shows: 0 for gray. */
const colorfulness = (id) =>
  page.evaluate((id) => {
    const canvas = document.getElementById(id);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += Math.abs(data[i] - data[i + 1]) + Math.abs(data[i + 1] - data[i + 2]);
    return sum / data.length;
  }, id);

test("the first visit is at most 15 MB", () => {
  const bytes = site.requests.reduce((sum, request) => sum + request.bytes, 0);
  console.log(`first visit: ${(bytes / 1e6).toFixed(1)} MB`);
  assert.ok(bytes < 15e6);
  assert.ok(site.requests.every((request) => request.bytes), "a file is missing");
});

for (const [name, limit] of [["1-megapixel.jpg", 3], ["12-megapixels.jpg", 10]]) {
  test(`color of ${name} within ${limit} s`, async () => {
    const words = await choose(name);
    console.log(`${name}: ${words}`);
    assert.ok(parseFloat(words.match(/[\d.]+/)[0]) <= limit);
    await download();
    console.log(await said(/^Saved/));
  });
}

test("gallery, in the default model's colors", async () => {
  for (const name of readdirSync(join(GIVEN, "gallery"))) {
    await choose(join("gallery", name));
    await download();
  }
  assert.ok((await colorfulness("color")) > 3);
  assert.ok((await colorfulness("gray")) < GRAY);
});

for (const model of ["unet", "cgan"]) {
  test(`a photo in the colors of ${model}`, async () => {
    await select(model);
    await choose(`${model}.png`);
    await download();
  });
}

test("draw again, by keyboard", async () => {
  await select("flow");
  await choose("turned.jpg");
  const drawn = () => page.evaluate(() => document.getElementById("color").toDataURL());
  const first = await drawn();
  await page.focus("#again");
  await page.evaluate(() => (document.getElementById("status").textContent = ""));
  await page.keyboard.press("Enter");
  await said(/^Colored/);
  assert.notEqual(await drawn(), first);
});

test("a color is chosen at a place, by pointer and by keyboard, and taken back", async () => {
  const places = { bag: [0.4, 0.85], besides: [0.3, 0.8], wall: [0.4, 0.25], speaker: [0.1, 0.1], floor: [0.9, 0.6] };
  const colored = async (action) => {
    await page.evaluate(() => (document.getElementById("status").textContent = ""));
    await action();
    await said(/^Colored/);
    return page.evaluate((places) => {
      const canvas = document.getElementById("color");
      const color = ([x, y]) => canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data;
      const colors = Object.entries(places).map(([name, place]) => [name, [...color(place)]]);
      return { picture: canvas.toDataURL(), ...Object.fromEntries(colors) };
    }, places);
  };
  await colored(() => page.click("img[src='examples/room.jpg']"));
  const room = await colored(() => page.selectOption("#model", "palette"));
  const change = (state, name) => Math.max(...room[name].map((value, band) => Math.abs(value - state[name][band])));

  await page.click("#pick");
  const { width, height } = await page.locator("#color").boundingBox();
  await page.locator("#compare").click({ position: { x: places.bag[0] * width, y: places.bag[1] * height } });
  const swatches = page.locator("#swatches button");
  await swatches.first().waitFor();
  const names = await swatches.evaluateAll((buttons) => buttons.map((button) => button.ariaLabel));
  assert.ok(names.length >= 4 && names.length <= 6);
  assert.ok(names.every((name) => /^[a-z ]+ \(a\* -?\d+, b\* -?\d+\), \d+%$/.test(name)), names);
  const bag = await colored(() => swatches.nth(4).click());
  for (const name of ["bag", "besides"]) assert.ok(change(bag, name) > 20, `no change of the ${name}`);
  for (const name of ["wall", "speaker", "floor"]) assert.ok(change(bag, name) <= 1, `a change of the ${name}`);

  await page.focus("#spot");
  for (let step = 0; step < 30; step++) await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement.parentElement.id === "swatches");
  await page.keyboard.press("Tab");
  const wall = await colored(() => page.keyboard.press("Enter"));
  assert.deepEqual(wall.bag, bag.bag);
  assert.ok(change(wall, "wall") > 3);
  assert.equal((await colored(() => page.click("#undo"))).picture, bag.picture);
  await download();
  assert.equal((await colored(() => page.click("#clear"))).picture, room.picture);

  await colored(() => swatches.nth(1).click());
  await select("unet");
  assert.ok(await page.isHidden("#pick"));
  assert.ok(await page.isVisible("#divider"));
  const again = await colored(() => page.selectOption("#model", "palette"));
  assert.ok(change(again, "wall") > 3); // choices are kept for the palette
});

test("saturation 0 is gray; the divider moves by keyboard", async () => {
  await select("palette");
  await page.getByRole("slider", { name: /^Saturation/ }).focus();
  await page.keyboard.press("Home");
  await said(/^Colored/);
  await page.waitForTimeout(1000);
  assert.ok((await colorfulness("color")) < GRAY);
  await page.keyboard.press("End");
  await page.getByRole("slider", { name: /^Border/ }).focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.evaluate(() => document.getElementById("compare").style.getPropertyValue("--split")), "51%");
});

test("drop and paste", async () => {
  const bytes = [...readFileSync(given("turned.jpg"))];
  for (const type of ["drop", "paste"]) {
    await page.evaluate(() => (document.getElementById("status").textContent = ""));
    await page.evaluate(
      ([type, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], "turned.jpg", { type: "image/jpeg" }));
        const options = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
        document.dispatchEvent(type === "drop" ? new DragEvent(type, options) : new ClipboardEvent(type, options));
      },
      [type, bytes],
    );
    await said(/^Colored/);
  }
});

test("what is no photo is said, and the next photo is colored", async () => {
  const problems = {
    "broken.jpg": /damaged/,
    "text.jpg": /no photo/,
    "drawing.svg": /no photo/,
    "empty.jpg": /empty/,
    "41-megapixels.png": /41 megapixels; this page colors at most 40/,
  };
  for (const [name, pattern] of Object.entries(problems)) await choose(name, pattern, "problem");
  await select("unet"); // the photo before them is still there
  await choose("animated.gif");
  assert.equal(await page.textContent("#problem"), "");
});

test("nothing is asked of another server, nothing is sent, no error", () => assert.deepEqual(wrong, []));

test("without a network it works as before, with threads", async () => {
  site.close();
  await context.setOffline(true);
  await page.reload();
  await said(/^Ready/);
  assert.ok(await page.evaluate(() => [...document.images].every((image) => image.naturalWidth)));
  assert.match(await choose("turned.jpg"), /threads/);
});
