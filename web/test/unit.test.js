// The page's arithmetic against values that g2g wrote into the file $FIXTURES: run by tests/test_web.py.

import assert from "node:assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { guidedFilter, paint, predictionSize, smallLightness, strips } from "../src/colorize.js";
import { lightness, writeGamutRgb } from "../src/lab.js";

const fixtures = JSON.parse(readFileSync(process.env.FIXTURES));

function assertClose(got, expected, tolerance, what) {
  assert.equal(got.length, expected.length, what);
  const worst = expected.reduce((largest, value, i) => Math.max(largest, Math.abs(value - got[i])), 0);
  assert.ok(worst <= tolerance, `${what}: off by ${worst}`);
}

test("lightness", () => {
  const { rgb, L } = fixtures.lightness;
  assertClose(rgb.map((color) => lightness(...color)), L, 1e-5, "L");
});

test("colors are moved into the gamut, lightness and hue kept", () => {
  for (const { lab, rgb } of fixtures.gamut) {
    const got = [0, 0, 0];
    writeGamutRgb(...lab, got, 0);
    assertClose(got, rgb, 1, `color ${lab}`);
  }
});

for (const { width, height, pixels, size, L, w, h, ab, slope, offset, result } of fixtures.photos) {
  const rgba = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => (i % 4 < 3 ? pixels[3 * (i >> 2) + (i % 4)] : 255));
  const read = (top, rows) => rgba.slice(4 * top * width, 4 * (top + rows) * width);

  test(`a photo of ${width} × ${height} px, on ${size} px`, () => {
    assert.deepEqual(predictionSize(width, height, size), [w, h]);
    assertClose(smallLightness(read, width, height, w, h), L, 0.011, "L made small"); // one step of 8 bits
    const planes = guidedFilter(Float32Array.from(L), Float32Array.from(ab), w, h);
    assertClose([...planes[0], ...planes[1]], slope, 1e-3, "slope");
    assertClose([...planes[2], ...planes[3]], offset, 1e-3, "offset");
    for (const [top, rows] of strips(width, height)) {
      const strip = read(top, rows);
      paint(strip, { width, height }, top, rows, { planes, w, h }, fixtures.saturation);
      const got = strip.filter((_, i) => i % 4 < 3);
      const expected = result.slice(3 * top * width, 3 * (top + rows) * width);
      assertClose(got, expected, 3, "a channel");
      const sum = expected.reduce((total, value, i) => total + Math.abs(value - got[i]), 0);
      assert.ok(sum / expected.length < 0.05, `channels are off by ${sum / expected.length} on average`);
    }
  });
}
