// The networks: fetched when first asked for, run by ONNX Runtime on the GPU where there is one, else in WebAssembly.

const from = (path) => new URL(`../${path}`, import.meta.url);
const sessions = {}; // promises, by the name of a graph
let runtime; // a promise: ONNX Runtime and what it computes on
let list; // a promise: models.json

/** What models.json says: `models`, and of each graph its `files` with their sizes in bytes. */
export function modelList() {
  list ??= fetch(from("models/models.json")).then((response) => checked(response).json());
  return list;
}

function checked(response) {
  if (response.ok) return response;
  throw new Error(`The server has no ${response.url} (it answers ${response.status}).`);
}

async function start(failure = "") {
  // A browser with WebGPU that cannot suspend WebAssembly would need a runtime of twice the size
  const gpu = !failure && "Suspending" in WebAssembly && (await navigator.gpu?.requestAdapter());
  const name = gpu ? "jspi" : "wasm";
  const ort = await import(from(`ort/ort.${name}.bundle.min.mjs`));
  const binary = gpu ? "ort-wasm-simd-threaded.jspi.wasm" : "ort-wasm-simd-threaded.wasm";
  const zipped = checked(await fetch(from(`ort/${binary}.gzip`)));
  ort.env.wasm.wasmBinary = await new Response(zipped.body.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const threads = ort.env.wasm.numThreads > 1 ? `${ort.env.wasm.numThreads} threads` : "1 thread";
  const device = gpu ? "the graphics card" : `the processor (${threads})${failure}`;
  return { ort, provider: gpu ? "webgpu" : "wasm", device };
}

/** Where the networks run, in words. */
export const device = async () => (await runtime).device;

/** Load a graph, once; `report(words, fraction)` hears how far it is. */
export const load = (graph, report) => tryGpuFirst(() => session(graph, report));

/** The outputs of a graph by name, for Float32Arrays and their shapes as inputs: `{L: [values, shape]}`. */
export function run(graph, inputs, report) {
  return tryGpuFirst(async () => {
    const loaded = await session(graph, report);
    const { ort } = await runtime;
    const tensors = Object.entries(inputs).map(([name, value]) => [name, new ort.Tensor("float32", ...value)]);
    const outputs = await loaded.run(Object.fromEntries(tensors));
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, [tensor.data, tensor.dims]]));
  });
}

/** Where the graphics card fails at `action`, the processor does it and all that follows, and `device` says so. */
async function tryGpuFirst(action) {
  try {
    return await action();
  } catch (error) {
    if ((await runtime)?.provider !== "webgpu") throw error;
    for (const graph of Object.keys(sessions)) delete sessions[graph];
    begin(`, as the graphics card failed: ${error.message}`);
    return action();
  }
}

function begin(failure) {
  runtime = start(failure).catch((error) => {
    runtime = undefined; // so that a second try can do better: the network may be back
    throw error;
  });
}

function session(graph, report) {
  if (!runtime) begin();
  sessions[graph] ??= create(graph, report);
  return sessions[graph].catch((error) => {
    delete sessions[graph];
    throw error;
  });
}

async function create(graph, report) {
  const { files } = await modelList();
  const names = Object.keys(files[graph]); // the graph, then weights that it shares with others
  const total = names.reduce((sum, name) => sum + files[graph][name], 0);
  const received = {};
  const parts = names.map((name) =>
    download(name, (bytes) => {
      received[name] = bytes;
      report("The model is loading", Object.values(received).reduce((sum, part) => sum + part) / total);
    }),
  );
  const [{ ort, provider }, model, ...shared] = await Promise.all([runtime, ...parts]);
  const externalData = shared.map((data, index) => ({ path: names[index + 1], data }));
  return ort.InferenceSession.create(model, { executionProviders: [provider], externalData, logSeverityLevel: 3 });
}

const downloads = {}; // promises, by file: graphs share some

function download(name, report) {
  downloads[name] ??= fetch(from(`models/${name}`)).then(async (response) => {
    const chunks = [];
    let received = 0;
    for (const reader = checked(response).body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return new Uint8Array(await new Blob(chunks).arrayBuffer());
      chunks.push(value);
      report((received += value.length));
    }
  });
  return downloads[name].catch((error) => {
    delete downloads[name];
    throw error;
  });
}
