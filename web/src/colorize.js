// What g2g/colorize.py does around a model: a small photo for the network, its colors fitted to lightness, painting.
// A photo is a function read(top, rows) that returns RGBA pixels of `rows` whole rows, 8 bits a channel.

import { lightness, writeGamutRgb } from "./lab.js";

const STRIP = 2 ** 20; // pixels read at a time, so that memory does not grow with the photo

/** Halves go to the even neighbor, as in Python: photos of 16:9 are such a case. */
function roundToEven(x) {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}

/** Width and height on which color is predicted: multiples of 32, about `size`² pixels. */
export function predictionSize(width, height, size) {
  const scale = Math.min(size / Math.sqrt(width * height), (16 * size) / Math.max(width, height));
  return [width, height].map((side) => Math.max(32, 32 * roundToEven((side * scale) / 32)));
}

/** Rows of a strip: multiples of `step`, about `STRIP` pixels. */
export function* strips(width, height, step = 1) {
  const rows = step * Math.max(1, Math.floor(STRIP / width / step));
  for (let top = 0; top < height; top += rows) yield [top, Math.min(rows, height - top)];
}

/** The normalized lightness (w·h) of a photo made small as Pillow does, by squares and then bicubic, antialiased. */
export function smallLightness(read, width, height, w, h) {
  const [fx, fy] = [width / w, height / h].map((factor) => Math.max(1, Math.floor(factor / 3)));
  const reduced = reduce(read, width, height, fx, fy);
  const turned = resample(reduced.pixels, reduced.width, reduced.height, w, width / fx);
  const pixels = resample(turned, reduced.height, w, h, height / fy);
  return Float32Array.from({ length: w * h }, (_, i) => lightness(...pixels.subarray(4 * i, 4 * i + 3)));
}

function reduce(read, width, height, fx, fy) {
  const [w, h] = [Math.ceil(width / fx), Math.ceil(height / fy)];
  const pixels = new Uint8ClampedArray(4 * w * h);
  const sums = new Float64Array(4 * w);
  for (const [top, rows] of strips(width, height, fy)) {
    const strip = read(top, rows);
    for (let y = 0; y < rows; y += fy) {
      const tall = Math.min(fy, rows - y);
      sums.fill(0);
      for (let at = 4 * y * width, row = 0; row < tall; row++) {
        for (let x = 0; x < width; x++, at += 4) {
          const to = 4 * Math.floor(x / fx);
          for (let band = 0; band < 3; band++) sums[to + band] += strip[at + band];
        }
      }
      const start = (4 * w * (top + y)) / fy;
      for (let x = 0; x < 4 * w; x++) {
        const wide = Math.min(fx, width - fx * (x >> 2));
        pixels[start + x] = sums[x] / (tall * wide);
      }
    }
  }
  return { pixels, width: w, height: h };
}

/** Rows of RGBA pixels from `width`, of which `extent` counts, to `w` pixels; the result has them as columns. */
function resample(pixels, width, height, w, extent) {
  const result = new Uint8ClampedArray(4 * w * height);
  const scale = extent / w;
  const stretch = Math.max(scale, 1);
  for (let x = 0; x < w; x++) {
    const center = (x + 0.5) * scale;
    const first = Math.max(0, Math.floor(center - 2 * stretch + 0.5));
    const end = Math.min(width, Math.floor(center + 2 * stretch + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, i) => bicubic((first + i - center + 0.5) / stretch));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (let y = 0; y < height; y++) {
      for (let band = 0; band < 3; band++) {
        let value = 0;
        for (let i = 0; i < weights.length; i++) value += weights[i] * pixels[4 * (y * width + first + i) + band];
        result[4 * (x * height + y) + band] = value / sum;
      }
    }
  }
  return result;
}

function bicubic(x) {
  x = Math.abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** The colors ab (2·w·h) as lines slope·L + offset: four planes, the slopes of a and b, then their offsets. */
export function guidedFilter(L, ab, w, h, eps = 1e-3) {
  const product = (p, q) => p.map((value, i) => value * q[i]);
  const meanL = boxMean(L, w, h);
  const variance = boxMean(product(L, L), w, h).map((value, i) => Math.max(0, value - meanL[i] ** 2));
  const planes = [ab.subarray(0, w * h), ab.subarray(w * h)];
  const slopes = planes.map((plane) => {
    const mean = boxMean(plane, w, h);
    const products = boxMean(product(L, plane), w, h);
    return boxMean(products.map((value, i) => (value - meanL[i] * mean[i]) / (variance[i] + eps)), w, h);
  });
  const offsets = planes.map((plane, band) => plane.map((value, i) => value - slopes[band][i] * L[i]));
  return [...slopes, ...offsets];
}

/** The mean of the 3×3 pixels around each one, of fewer at the border. */
export function boxMean(plane, w, h) {
  const result = new Float64Array(w * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let [sum, count] = [0, 0];
      for (let j = Math.max(0, y - 1); j <= Math.min(h - 1, y + 1); j++) {
        for (let i = Math.max(0, x - 1); i <= Math.min(w - 1, x + 1); i++, count++) sum += plane[j * w + i];
      }
      result[y * w + x] = sum / count;
    }
  }
  return result;
}

/** Paint a strip of RGBA pixels, in place; `lines` are enlarged by bilinear interpolation to the photo's size. */
export function paint(pixels, photo, top, rows, lines, saturation) {
  const { planes, w, h } = lines;
  const across = Array.from({ length: photo.width }, (_, x) => neighbors(x, photo.width, w));
  const [left, fraction] = [Int32Array.from(across, (n) => n[0]), Float64Array.from(across, (n) => n[1])];
  const line = planes.map(() => new Float64Array(w + 1));
  const [slopeA, slopeB, offsetA, offsetB] = line;
  for (let y = 0, at = 0; y < rows; y++) {
    const [row, part] = neighbors(top + y, photo.height, h);
    const below = Math.min(row + 1, h - 1);
    planes.forEach((plane, index) => {
      for (let x = 0; x <= w; x++) {
        const column = Math.min(x, w - 1);
        line[index][x] = (1 - part) * plane[row * w + column] + part * plane[below * w + column];
      }
    });
    for (let x = 0; x < photo.width; x++, at += 4) {
      const L = lightness(pixels[at], pixels[at + 1], pixels[at + 2]);
      const [i, t] = [left[x], fraction[x]];
      const a = ((1 - t) * slopeA[i] + t * slopeA[i + 1]) * L + (1 - t) * offsetA[i] + t * offsetA[i + 1];
      const b = ((1 - t) * slopeB[i] + t * slopeB[i + 1]) * L + (1 - t) * offsetB[i] + t * offsetB[i + 1];
      writeGamutRgb(L, saturation * a, saturation * b, pixels, at);
    }
  }
}

/** Of pixel `x` of `large`: the pixel of `small` before it, and how far it is from there to the next. */
function neighbors(x, large, small) {
  const place = Math.min(small - 1, Math.max(0, ((x + 0.5) * small) / large - 0.5));
  return [Math.floor(place), place - Math.floor(place)];
}
