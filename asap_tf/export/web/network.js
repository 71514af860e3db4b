// The network in a worker: pixels in, labels out. LiteRT.js is fetched with integrity hashes and run
// from memory, so that what runs is what was checked.

let run;

self.onmessage = async ({ data: { id, method, args } }) => {
  try {
    const result = await { open, segment }[method](...args);
    const arrays = Object.values(result).filter(ArrayBuffer.isView);
    self.postMessage({ id, result }, arrays.map((array) => array.buffer));
  } catch (error) {
    self.postMessage({ id, error: error?.message || String(error) });
  }
};

async function open(manifest, home, accelerator) {
  const { base, module, builds } = manifest.runtime;
  const runtime = (file) => fetched(new URL(file.name, new URL(base, home)), file.integrity);
  const litert = await import(script(withoutLoader(await (await runtime(module)).text())));
  const relaxed = await litert.supportsFeature("relaxedSimd");
  const threads =
    accelerator === "wasm" && relaxed && self.crossOriginIsolated
      ? Math.min(4, navigator.hardwareConcurrency)
      : 1;
  const build =
    accelerator === "webgpu" ? "webgpu" : threads > 1 ? "threaded" : relaxed ? "simd" : "compat";
  const [glue, binary, network] = await Promise.all([
    runtime(builds[build].glue),
    runtime(builds[build].binary),
    fetched(new URL(manifest.network, home), manifest.integrity),
  ]);
  self.loaded = async (LiteRt) => {
    const program = await glue.text();
    const { default: start } = await import(script(program, "\nexport default ModuleFactory;"));
    const wasmBinary = await binary.arrayBuffer();
    return new LiteRt(await start({ wasmBinary, mainScriptUrlOrBlob: new Blob([program]) }));
  };
  await litert.loadLiteRt("checked.js");
  const model = await litert.loadAndCompile(new Uint8Array(await network.arrayBuffer()), {
    accelerator,
    cpuOptions: { numThreads: threads },
  });
  const [height, width] = manifest.size;
  const withConfidence = manifest.output === "labels+confidence";
  const pixels = new Uint8Array(height * width * 3);
  run = async (rgba, source) => {
    const start = performance.now();
    resizeFrame(rgba, source, { height, width }, pixels);
    const frames = new litert.Tensor(pixels, [1, height, width, 3]);
    const [output] = await model.run(frames);
    const data = await output.data();
    frames.delete();
    output.delete();
    return {
      labels: data.slice(0, height * width),
      confidence: withConfidence ? data.slice(height * width) : null,
      milliseconds: performance.now() - start,
    };
  };
  // The first run takes longer than all others.
  await run(new Uint8Array(4 * height * width), { height, width });
  return { threads };
}

// Its loader would fetch what it loads by itself, unchecked.
function withoutLoader(module) {
  const ours = "const createWasmLib = (LiteRt) => self.loaded(LiteRt);";
  return module.replace(/import \{ createWasmLib \} from [^;]+;/, ours);
}

function segment(rgba, size) {
  return run(new Uint8Array(rgba), size);
}

async function fetched(url, integrity) {
  let response;
  try {
    response = await fetch(url, { integrity });
  } catch (error) {
    throw new Error(`${url} cannot be had, or is not what it should be (${error.message})`);
  }
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response;
}

function script(...content) {
  return URL.createObjectURL(new Blob(content, { type: "text/javascript" }));
}

// asap_tf's resize_frame, to the bit, from RGBA to RGB: in steps where a side is more than halved.
export function resizeFrame(rgba, source, target, rgb) {
  const halvings = (have, want) => 31 - Math.clz32(Math.max(1, have / want));
  const rows = halvings(source.height, target.height);
  const columns = halvings(source.width, target.width);
  let pixels = rgba;
  let channels = 4;
  for (let step = Math.max(rows, columns); step > 0; step--) {
    const height = target.height << Math.min(step, rows);
    const width = target.width << Math.min(step, columns);
    const larger = new Uint8Array(3 * height * width);
    resizeBilinear(pixels, channels, source, { height, width }, larger);
    [pixels, channels, source] = [larger, 3, { height, width }];
  }
  resizeBilinear(pixels, channels, source, target, rgb);
}

// OpenCV's cv2.resize(..., INTER_LINEAR) of 8 bits, to the bit: centers at half a pixel, weights of
// 11 bits. From RGBA or RGB to RGB.
function resizeBilinear(pixels, channels, source, target, rgb) {
  const columns = places(source.width, target.width);
  const rows = places(source.height, target.height);
  const width = 3 * target.width;
  const kept = [new Int32Array(width), new Int32Array(width)];
  const held = [-1, -1];
  const widened = (y) => {
    const slot = y & 1;
    const line = kept[slot];
    if (held[slot] === y) return line;
    held[slot] = y;
    const start = channels * y * source.width;
    for (let x = 0, i = 0; x < target.width; x++) {
      const left = start + channels * columns.first[x];
      const right = start + channels * columns.second[x];
      const weight = columns.weight[x];
      for (let c = 0; c < 3; c++) {
        line[i++] = pixels[left + c] * (2048 - weight) + pixels[right + c] * weight;
      }
    }
    return line;
  };
  for (let y = 0, i = 0; y < target.height; y++) {
    const below = rows.weight[y];
    const above = 2048 - below;
    const first = widened(rows.first[y]);
    const second = widened(rows.second[y]);
    for (let x = 0; x < width; x++) {
      rgb[i++] = (((above * (first[x] >> 4)) >> 16) + ((below * (second[x] >> 4)) >> 16) + 2) >> 2;
    }
  }
}

// Between which two pixels of a line each pixel of another length lies, and the second's weight.
function places(source, target) {
  const first = new Int32Array(target);
  const second = new Int32Array(target);
  const weight = new Int32Array(target);
  for (let i = 0; i < target; i++) {
    const place = Math.fround((i + 0.5) * (1 / (target / source)) - 0.5);
    const floor = Math.floor(place);
    first[i] = Math.min(Math.max(floor, 0), source - 1);
    second[i] = Math.min(Math.max(floor + 1, 0), source - 1);
    weight[i] = roundEven(Math.fround(place - floor) * 2048);
  }
  return { first, second, weight };
}

function roundEven(x) {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor & 1) : Math.round(x);
}
