// Puts the page together in dist/: `npm run build`, after `tools/export_onnx.py`. Nothing is bundled or transpiled.

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

process.chdir(import.meta.dirname);
const RUNTIME = "node_modules/onnxruntime-web";
if (!existsSync("../outputs/onnx/models.json")) throw new Error("no models: run tools/export_onnx.py first");

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist/ort", { recursive: true });
for (const name of ["style.css", "src"]) cpSync(name, `dist/${name}`, { recursive: true });
const [, repository] = readFileSync("../pyproject.toml", "utf8").match(/^Repository = "(.+)"/m);
writeFileSync("dist/index.html", readFileSync("index.html", "utf8").replace("REPOSITORY", repository));
cpSync("../outputs/onnx", "dist/models", { recursive: true });
cpSync("../results/weights/palette.jpg", "dist/examples.jpg"); // for those without JavaScript
for (const name of readdirSync("../data/gallery")) {
  if (name.endsWith(".jpg")) cpSync(`../data/gallery/${name}`, `dist/examples/${name}`);
}
const license = readFileSync("../LICENSE", "utf8").replace(/^Copyright.*$/m, "Copyright (c) Microsoft Corporation");
writeFileSync("dist/ort/LICENSE.txt", license); // ONNX Runtime's is the MIT license too; its package brings no copy
for (const name of ["ort.wasm.bundle.min.mjs", "ort.jspi.bundle.min.mjs"]) {
  cpSync(`${RUNTIME}/dist/${name}`, `dist/ort/${name}`);
}
for (const name of ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.jspi.wasm"]) {
  // Not .gz, which some servers declare as an encoding, so that the browser unpacks it before the page does
  writeFileSync(`dist/ort/${name}.gzip`, gzipSync(readFileSync(`${RUNTIME}/dist/${name}`), { level: 9 }));
}

const files = readdirSync("dist", { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
const version = createHash("sha256");
for (const path of paths) version.update(readFileSync(path));
const shell = paths.map((path) => path.slice("dist/".length)).filter((path) => !/^(models\/|ort\/|examples.jpg)/.test(path));
const worker = readFileSync("sw.js", "utf8").replace("VERSION", version.digest("hex").slice(0, 12));
writeFileSync("dist/sw.js", worker.replace('["./"]', JSON.stringify(["./", ...shell])));
