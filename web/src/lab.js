// sRGB and CIE L*a*b* (D65, 2°), one pixel at a time, with the numbers of g2g/lab.py. L and ab are normalized as there:
// L = L*/50 - 1, ab = ab*/110.

export const AB_SCALE = 110;
const DELTA = 6 / 29; // the cube root of L*a*b* becomes a straight line below DELTA³
const SLOPE = 3 * DELTA ** 2;
const TOLERANCE = 0.5 / 255; // what rounding to 8 bits brings in is inside the gamut
const LUMINANCE = [0.212671, 0.71516, 0.072169]; // Y of linear RGB
const INVERSE = [ // XYZ, relative to the white point, to linear RGB
  [3.07998030227, -1.53715151627, -0.54282130802],
  [-0.92124775232, 1.87599000149, 0.04524733951],
  [0.0528904611, -0.20404133837, 1.15123201196],
];

const linearize = (value) => (value > 0.04045 ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92);
const delinearize = (value) => (value > 0.0031308 ? 1.055 * value ** (1 / 2.4) - 0.055 : 12.92 * value);

// Powers are slow, and there are millions of pixels: tables in their place
const LINEAR = Float64Array.from({ length: 256 }, (_, value) => linearize(value / 255));
const STEPS = 65536;
const EIGHT_BITS = Uint8Array.from({ length: STEPS + 1 }, (_, step) => Math.round(255 * delinearize(step / STEPS)));
const DARKEST = linearize(-TOLERANCE);
const BRIGHTEST = linearize(1 + TOLERANCE);

/** The normalized lightness of an 8-bit sRGB color. */
export function lightness(red, green, blue) {
  const y = LUMINANCE[0] * LINEAR[red] + LUMINANCE[1] * LINEAR[green] + LUMINANCE[2] * LINEAR[blue];
  const f = y > DELTA ** 3 ? Math.cbrt(y) : y / SLOPE + 4 / 29;
  return (116 * f - 16) / 50 - 1;
}

const linear = new Float64Array(3);

function labToLinear(L, a, b) {
  const fy = ((L + 1) * 50 + 16) / 116;
  const x = inverseF(fy + (a * AB_SCALE) / 500);
  const y = inverseF(fy);
  const z = inverseF(fy - (b * AB_SCALE) / 200);
  for (let band = 0; band < 3; band++) {
    linear[band] = INVERSE[band][0] * x + INVERSE[band][1] * y + INVERSE[band][2] * z;
  }
}

function inverseF(f) {
  return f > DELTA ? f * f * f : SLOPE * (f - 4 / 29);
}

function isOutside() {
  return (
    Math.min(linear[0], linear[1], linear[2]) < DARKEST || Math.max(linear[0], linear[1], linear[2]) > BRIGHTEST
  );
}

/** Write an 8-bit sRGB color at `target[at]`, lightness and hue kept: `to_gamut_rgb` of g2g/colorize.py. */
export function writeGamutRgb(L, a, b, target, at) {
  labToLinear(L, a, b);
  if (isOutside()) {
    let factor = 0; // on ab, known to be inside
    for (let step = 1 / 2; step >= 1 / 512; step /= 2) {
      labToLinear(L, (factor + step) * a, (factor + step) * b);
      if (!isOutside()) factor += step;
    }
    labToLinear(L, factor * a, factor * b);
  }
  for (let band = 0; band < 3; band++) {
    target[at + band] = EIGHT_BITS[Math.round(STEPS * Math.min(1, Math.max(0, linear[band])))];
  }
}
