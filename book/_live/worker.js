/* One Python in a worker. It starts when it is made, and asks this folder only.

   The page sends {steps: [{place, code, name}, …]}, or {verify: id}. The worker answers with
   {kind, place, data}: "progress" (bytes fetched so far), "ready"; for each step "start", any of "text",
   "value", "latex" and "error", then "done" (whether it ran to its end, and seconds); for a claim "claim", how
   it was judged; "idle" after all of it; "fatal". */
import { loadPyodide } from "./pyodide.mjs";

const folder = new URL("./", import.meta.url).href;
const post = (kind, data, place) => self.postMessage({ kind, data, place });

/* Bytes are counted as they come in. WebAssembly is counted when it is there: a browser keeps what it has
   compiled for the next visit only if it gets the answer itself. */
const ask = self.fetch.bind(self);
let fetched = 0;
function count(bytes) {
  fetched += bytes;
  post("progress", fetched);
}
async function counted(...request) {
  const answer = await ask(...request);
  if (!answer.ok) throw new Error(`${answer.status} for ${answer.url}`);
  if (answer.url.endsWith(".wasm")) return answer;
  const counter = new TransformStream({
    transform(piece, out) {
      count(piece.byteLength);
      out.enqueue(piece);
    },
  });
  return new Response(answer.body.pipeThrough(counter), { headers: answer.headers });
}
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.name.endsWith(".wasm")) count(entry.decodedBodySize);
}).observe({ type: "resource" });

/* Code of a page computes; it has no business on any network. */
function closeNetwork() {
  const refuse = () => { throw new Error("a page's code reaches no network"); };
  for (const name of ["fetch", "XMLHttpRequest", "WebSocket", "WebTransport", "EventSource", "Worker",
    "BroadcastChannel", "importScripts", "indexedDB", "caches"]) {
    for (let holder = self; holder; holder = Object.getPrototypeOf(holder)) {
      if (Object.hasOwn(holder, name)) Object.defineProperty(holder, name, { value: refuse, writable: false });
    }
  }
}

async function start() {
  self.fetch = counted;
  const archive = counted(`${folder}python.zip.zst`).then((answer) => answer.arrayBuffer());
  const python = await loadPyodide({ indexURL: folder, jsglobals: {} });
  python.FS.writeFile("/python.zip.zst", new Uint8Array(await archive));
  python.runPython(`
    import pathlib, sys
    from compression import zstd
    packed = pathlib.Path("/python.zip.zst")
    pathlib.Path("/python.zip").write_bytes(zstd.decompress(packed.read_bytes()))
    packed.unlink()
    sys.path.append("/python.zip")
    del packed
  `);
  closeNetwork();
  const { Runner } = python.pyimport("driver");
  const runner = Runner((kind, data) => post(kind, data, current));
  python.runPython("import sympy");
  post("ready");
  return runner;
}

let current;
const started = start();
started.catch((error) => post("fatal", String(error?.message ?? error).slice(0, 1000)));

async function answer({ steps = [], verify }) {
  const runner = await started;
  if (verify) runner.verify(verify);
  for (const { place, code, name } of steps) {
    current = place;
    post("start", null, place);
    const from = performance.now();
    const ok = runner.run(place, code, name);
    post("done", { ok, seconds: (performance.now() - from) / 1000 }, place);
    if (!ok) break;
  }
  post("idle");
}

let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue.then(() => answer(data)).catch((error) => post("fatal", String(error?.message ?? error).slice(0, 1000)));
};
