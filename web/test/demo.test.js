// A visitor of the page of `python -m g2g demo` in Chromium: run by tests/test_page.py, with files in $FOLDER.

import assert from "node:assert";
import { join } from "node:path";
import { test } from "node:test";

import { chromium } from "playwright-core";

const { ADDRESS, CHROMIUM, FOLDER } = process.env;

test("a photo is dropped, an example taken and downloaded, a text refused, and nothing asked of others", async () => {
  // Any name but this machine's is unknown to the browser: what the page would fetch elsewhere fails
  const args = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  const asked = [];
  page.on("request", (request) => asked.push(request.url()));
  const drop = (name) => page.setInputFiles("input[type=file]", join(FOLDER, name));
  const says = (words) => page.waitForFunction((words) => document.body.innerText.includes(words), words);
  try {
    await page.goto(ADDRESS);
    await page.waitForFunction(() => document.querySelectorAll(".grid-wrap img").length === 8);
    await page.waitForFunction(() => [...document.images].every((image) => image.complete));
    await drop("mine.jpg");
    await says("colored by U-Net (palette)");
    await says("Trevor"); // the example's author: it is known by its contents

    await page.click("[aria-label='Thumbnail 2 of 8']");
    await says("Aitzol Berasategi, 2018, CC BY 4.0, recolored");
    await page.click("input[type=radio][value=unet]");
    await says("colored by U-Net,");
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download at full size")]);
    await file.saveAs(join(FOLDER, file.suggestedFilename()));

    await page.click("[aria-label=Clear]");
    await page.waitForFunction(() => !document.body.innerText.includes("colored by"));
    await drop("text.jpg");
    await says("not an image that Pillow can read");
  } finally {
    await browser.close();
  }
  const elsewhere = asked.filter((address) => !address.startsWith(ADDRESS) && !/^(data|blob):/.test(address));
  assert(asked.length > 0 && elsewhere.length === 0, elsewhere.join("\n"));
});
