// A static server for the tests, as plain as any: no special headers.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg" };

/** Serve dist/ in a folder of a free port; `requests` lists what was asked for, with bytes. */
export async function serve() {
  const requests = [];
  const server = createServer(async ({ url }, response) => {
    const path = url.replace(/\/$/, "/index.html").replace("/color/", "../dist/");
    const body = await readFile(join(import.meta.dirname, path)).catch(() => null);
    requests.push({ path, bytes: body?.length });
    response.writeHead(body ? 200 : 404, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/color/`, requests, close: () => server.close() };
}
