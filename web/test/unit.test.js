// The page's arithmetic against values that g2g wrote into the file $FIXTURES: run by tests/test_web.py.

import assert from "node:assert";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { guidedFilter, paint, predictionSize, smallLightness, strips } from "../src/colorize.js";
import { changes, distribution, likeliest, withHints } from "../src/hints.js";
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

test("likeliest colors: each with its neighbors, all apart from each other", () => {
  const bins = [[0, 0], [0, 10], [0, 20], [50, 40], [50, 60], [-40, 0]];
  const planes = Float32Array.of(0.2, 0.15, 0.1, 0.65, 0.3, 0.1, 0.25, 0.05, 0.05, 0.05, 0.1, 0.001); // two pixels a bin
  const expected = [
    [[0, 10], 0.6, [50, 40], 0.25, [-40, 0], 0.1, [50, 60], 0.05],
    [[0, 10], 0.9, [50, 40], 0.05, [50, 60], 0.05], // and one of less than 1% is left out
  ];
  for (const pixel of [0, 1]) {
    const colors = likeliest(distribution(planes, bins.length, pixel), bins);
    assert.deepEqual(colors.flatMap(({ color, probability }) => [color, +probability.toFixed(6)]), expected[pixel]);
  }
  assert.equal(likeliest(distribution(planes, bins.length, 0), bins, 2).length, 2);
});

test("a color fills the place's region and stops at its edge, and a later choice lies on top", () => {
  const [w, h] = [64, 32]; // the left half dark and of one bin, the right half bright and of another
  const L = Float32Array.from({ length: w * h }, (_, i) => (i % w < 32 ? -0.5 : 0.5));
  const probabilities = Float32Array.from({ length: 2 * 128 }, (_, i) => +((i % 16 < 8) === i < 128));
  const around = changes(probabilities, 16, 8);
  assert.deepEqual([...around.subarray(5, 10)], [0, 0, 1, 0, 0]);
  const ab = new Float32Array(2 * w * h).fill(0.1);
  const left = { x: 0.25, y: 0.5, color: [55, -22], reach: 1 };
  const colored = withHints(ab, [left], L, around, w, h);
  const at = (x, y) => [colored[y * w + x], colored[w * h + y * w + x]];
  for (const [x, y] of [[16, 16], [2, 2], [26, 30]]) assertClose(at(x, y), [0.5, -0.2], 0.01, `color at ${x}, ${y}`);
  for (const [x, y] of [[40, 16], [63, 0]]) assertClose(at(x, y), [0.1, 0.1], 0.04, `color at ${x}, ${y}`);
  assert.deepEqual(withHints(ab, [], L, around, w, h), ab);
  const twice = withHints(ab, [left, { ...left, color: [0, 0] }], L, around, w, h);
  assert.ok(Math.abs(twice[16 * w + 16]) < 1e-6);
});
