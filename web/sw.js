// Keeps what was loaded, so that the page works without a network; with one, what the server has goes first.

const CACHE = "color-VERSION"; // build.js fills in both: a name that is new where a file is, and the page's own files
const SHELL = ["./"];

self.addEventListener("install", (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)));
});

self.addEventListener("activate", (event) => {
  const old = async () => (await caches.keys()).filter((name) => name.startsWith("color-") && name !== CACHE);
  event.waitUntil(old().then((names) => Promise.all(names.map((name) => caches.delete(name)))));
  event.waitUntil(self.clients.claim());
});

self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event));
});

async function answer(event) {
  const { request } = event;
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) event.waitUntil(cache.put(request, response.clone()));
    return isolated(response);
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return isolated(kept);
    throw error;
  }
}

/** With these two headers, which a static server seldom sends, WebAssembly may use several threads. */
function isolated({ body, status, statusText, headers }) {
  headers = new Headers(headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(body, { status, statusText, headers });
}
