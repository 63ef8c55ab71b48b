// A visitor's choices: the likeliest colors of a place, and the region around it that takes the chosen one.

import { boxMean } from "./colorize.js";
import { AB_SCALE } from "./lab.js";

const NEAR = 10; // CIE units in a* and in b*: what is nearer to a color counts as the same, so that choices differ
// What keeps a region together, from pixel to pixel: at a sum of about 1 it ends. Chosen by eye
const LIGHTNESS = 0.85; // per difference of normalized L
const DISTRIBUTION = 0.5; // per Hellinger distance of what the palette predicts
const DISTANCE = 0.28; // per side of a square as large as the photo

/** The likeliest colors, {color: [a*, b*], probability}, of the probabilities of `bins`, each with those near to it. */
export function likeliest(probabilities, bins, count = 6) {
  const left = Float64Array.from(probabilities);
  const neighbors = bins.map(([a, b]) =>
    [...bins.keys()].filter((i) => Math.max(Math.abs(bins[i][0] - a), Math.abs(bins[i][1] - b)) <= NEAR),
  );
  const colors = [];
  while (colors.length < count) {
    const sums = neighbors.map((near, i) => (left[i] ? near.reduce((sum, j) => sum + left[j], 0) : 0));
    const probability = Math.max(...sums);
    if (probability < 0.01) break;
    const best = sums.indexOf(probability);
    colors.push({ color: bins[best], probability });
    for (const i of neighbors[best]) left[i] = 0;
  }
  return colors;
}

/** The pixel of w × h in which a place lies; x and y from 0 to 1. */
export function pixelOf({ x, y }, w, h) {
  return Math.min(h - 1, Math.floor(y * h)) * w + Math.min(w - 1, Math.floor(x * w));
}

/** The probabilities of each bin at pixel `index` of the palette's (Q planes of a quarter of the resolution). */
export function distribution(probabilities, count, index) {
  const area = probabilities.length / count;
  return Float32Array.from({ length: count }, (_, bin) => probabilities[bin * area + index]);
}

/** How much the palette's prediction changes around each pixel of a quarter of the resolution, w × h. */
export function changes(probabilities, w, h) {
  const roots = probabilities.map(Math.sqrt);
  const hellinger = (i, j) => {
    let overlap = 0;
    for (let at = 0; at < roots.length; at += w * h) overlap += roots[at + i] * roots[at + j];
    return Math.sqrt(Math.max(0, 1 - overlap));
  };
  const result = new Float64Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const [right, below] = [y * w + Math.min(x + 1, w - 1), Math.min(y + 1, h - 1) * w + x];
      result[y * w + x] = Math.hypot(hellinger(y * w + x, right), hellinger(y * w + x, below));
    }
  }
  return result;
}

/** The shortest way from `start` to each pixel of w × h, where lightness and prediction change the least. */
function ways(start, L, changes, w, h) {
  const smooth = boxMean(L, w, h);
  const entry = Float64Array.from(L, (_, i) => {
    const [x, y] = [i % w, Math.floor(i / w)];
    return (DISTRIBUTION / 4) * changes[(y >> 2) * (w >> 2) + (x >> 2)] + DISTANCE / Math.sqrt(w * h);
  });
  const way = new Float64Array(w * h).fill(Infinity);
  way[start] = 0;
  const step = (from, to, length) => {
    const sum = way[from] + length * entry[to] + LIGHTNESS * Math.abs(smooth[from] - smooth[to]);
    if (sum < way[to]) way[to] = sum;
  };
  for (let pass = 0; pass < 16; pass++) {
    const forward = pass % 2 === 0;
    for (let k = 0; k < w * h; k++) {
      const i = forward ? k : w * h - 1 - k;
      const [x, sign] = [i % w, forward ? 1 : -1];
      const [isFirst, isLast] = forward ? [x === 0, x === w - 1] : [x === w - 1, x === 0];
      if (!isFirst) step(i - sign, i, 1);
      const above = i - sign * w;
      if (above < 0 || above >= w * h) continue;
      step(above, i, 1);
      if (!isFirst) step(above - sign, i, Math.SQRT2);
      if (!isLast) step(above + sign, i, Math.SQRT2);
    }
  }
  return way;
}

/** The ab (2·w·h) with each of `hints`, {x, y, color, reach}, in the region of its place, one after the other. */
export function withHints(ab, hints, L, changes, w, h) {
  const result = Float32Array.from(ab);
  for (const { color, reach, ...place } of hints) {
    ways(pixelOf(place, w, h), L, changes, w, h).forEach((way, i) => {
      const weight = Math.exp(-((way / reach) ** 4));
      for (const band of [0, 1]) {
        const at = band * w * h + i;
        result[at] += weight * (color[band] / AB_SCALE - result[at]);
      }
    });
  }
  return result;
}
