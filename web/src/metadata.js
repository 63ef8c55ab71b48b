// The words that a picture's colors are a guess, in the file itself, where g2g/photos.py writes and reads them: in EXIF
// and, for readers of PNG, in a text chunk.

const SOFTWARE = "Gray to Glory (g2g)"; // `photos.source_of` knows a result by it
const TAGS = { description: 0x010e, document: 0x010d, software: 0x0131 };
const utf8 = new TextEncoder();

/** The same file, a Blob of type image/jpeg or image/png, with `description` and the photo's name in it. */
export async function withProvenance(blob, description, name) {
  const file = new Uint8Array(await blob.arrayBuffer());
  const exif = exifBlock({ document: ascii(name), description, software: SOFTWARE });
  if (blob.type === "image/jpeg") {
    const payload = concat(utf8.encode("Exif\0\0"), exif);
    const marker = Uint8Array.of(0xff, 0xe1, (payload.length + 2) >> 8, (payload.length + 2) & 255);
    const hasJfif = file[3] === 0xe0; // which has to come first
    return insert(blob, file, hasJfif ? 4 + 256 * file[4] + file[5] : 2, concat(marker, payload));
  }
  const text = concat(utf8.encode("Description\0\0\0\0\0"), utf8.encode(description));
  return insert(blob, file, 33, concat(chunk("eXIf", exif), chunk("iTXt", text))); // behind signature and header
}

function insert(blob, file, at, bytes) {
  return new Blob([file.subarray(0, at), bytes, file.subarray(at)], { type: blob.type });
}

/** A block of EXIF with text tags, which have to be in the order of their numbers. */
function exifBlock(texts) {
  const entries = Object.entries(texts).map(([name, text]) => [TAGS[name], utf8.encode(`${text}\0`)]);
  entries.sort(([tag], [other]) => tag - other);
  const head = 8 + 2 + 12 * entries.length + 4;
  const view = new DataView(new ArrayBuffer(head));
  view.setUint32(0, 0x4d4d002a); // big-endian TIFF
  view.setUint32(4, 8);
  view.setUint16(8, entries.length);
  let [at, place] = [10, head];
  for (const [tag, bytes] of entries) {
    view.setUint16(at, tag);
    view.setUint16(at + 2, 2); // text
    view.setUint32(at + 4, bytes.length);
    view.setUint32(at + 8, place); // every text here is longer than the 4 bytes that fit into the entry, or padded
    at += 12;
    place += bytes.length;
  }
  return concat(new Uint8Array(view.buffer), ...entries.map(([, bytes]) => bytes));
}

/** A file's name in letters that EXIF can hold, others as bytes: `photos.to_ascii`. */
function ascii(name) {
  const escaped = (byte) => `\\x${byte.toString(16).padStart(2, "0")}`;
  return Array.from(utf8.encode(name), (byte) => (byte < 128 ? String.fromCharCode(byte) : escaped(byte))).join("");
}

function chunk(type, data) {
  const body = concat(utf8.encode(type), data);
  const frame = new DataView(new ArrayBuffer(8));
  frame.setUint32(0, data.length);
  frame.setUint32(4, crc32(body));
  return concat(new Uint8Array(frame.buffer, 0, 4), body, new Uint8Array(frame.buffer, 4));
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function concat(...parts) {
  const result = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
