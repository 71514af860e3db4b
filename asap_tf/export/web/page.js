// The page: takes photos, videos and the camera, and shows what the network sees in them.

const MOST_PIXELS = 16_777_216; // The largest canvas that every phone has.
const $ = (id) => document.getElementById(id);
const picture = $("picture").getContext("2d", { alpha: false });
const overlay = $("overlay").getContext("2d");
const work = document.createElement("canvas").getContext("2d", { alpha: false, willReadFrequently: true });
const video = Object.assign(document.createElement("video"), { muted: true, loop: true, playsInline: true });

let manifest, network;
let opened; // A promise that the network is ready.
let classes; // Each with its name, color, share, whether it is hidden, and its row of the legend.
let legend; // The same in the legend's order.
let shown; // Labels and confidence of the picture that is shown, and its name.
let source = 0; // Counts up with every choice, so that an older one knows that it is over.
let moved = false; // Whether a video that is paused has another frame to show.
let cross = { x: 0.5, y: 0.5 };

start().catch((error) => say(error.message, true));

async function start() {
  say("Fetching the network …");
  manifest = await (await fetch("manifest.json")).json();
  classes = manifest.classes.map(legendRow);
  legend = [...classes];
  $("fading").hidden = manifest.output !== "labels+confidence";
  $("runtimes").hidden = !(await hasGPU());
  listen();
  await (opened = $("runtimes").hidden ? open("wasm") : open("webgpu").catch(() => open("wasm")));
}

// An integer network is for processors; a GPU that is imitated by the processor is none. What a GPU
// cannot do is done by the processor in between, which takes promises in WebAssembly.
async function hasGPU() {
  if (manifest.precision === "int8" || !("Suspending" in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter();
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function open(accelerator) {
  const { version, megabytes } = manifest.runtime;
  say(`Fetching LiteRT.js ${version} (${megabytes} MB) …`);
  $("runtime").value = accelerator;
  network?.end();
  network = await worker("network.js");
  const { threads } = await network.call("open", [manifest, document.baseURI, accelerator]);
  const place = accelerator === "webgpu" ? "GPU" : `processor, ${threads} thread${threads > 1 ? "s" : ""}`;
  const [height, width] = manifest.size;
  $("facts").textContent = `${manifest.name}, ${manifest.precision}, ${width} × ${height}, on the ${place}`;
  document.body.dataset.ready = accelerator;
  say("Ready. Everything happens on this device.");
}

// From memory, not from its address: so it is bound by this page's content security policy.
async function worker(address) {
  const script = URL.createObjectURL(await (await fetch(address)).blob());
  const thread = new Worker(script, { type: "module" });
  const waiting = new Map();
  let last = 0;
  thread.onmessage = ({ data: { id, result, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    error === undefined ? resolve(result) : reject(new Error(error));
  };
  thread.onerror = (event) => {
    for (const { reject } of waiting.values()) reject(new Error(event.message));
  };
  return {
    call: (method, args, moved = []) => new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      thread.postMessage({ id: last, method, args }, moved);
    }),
    end: () => thread.terminate(),
  };
}

// ---- Sources ----

async function take(choose) {
  const mine = ++source;
  stopVideo();
  try {
    await choose(() => mine === source);
  } catch (error) {
    if (mine === source) say(error.message, true);
  }
}

const takeFile = (file) =>
  take((current) => (file.type.startsWith("video/") ? takeVideo(file, current) : takePhoto(file, file.name, current)));

async function takePhoto(blob, name, current) {
  let image;
  try {
    image = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  } catch {
    throw new Error(`${name}: this browser cannot read it as an image`);
  }
  const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (image.width * image.height)));
  const [width, height] = [image.width, image.height].map((side) => Math.floor(side * shrink));
  if (!(await segment(image, width, height, name, current))) return;
  image.close();
  const seen = legend.filter((entry) => entry.share >= 0.01);
  $("summary").textContent = seen.map((entry) => `${entry.name} ${percent(entry.share)}`).join(", ");
  say(`${name}, ${width} × ${height}`);
}

async function takeVideo(file, current) {
  video.src = URL.createObjectURL(file);
  $("playback").hidden = false;
  await playing(file.name, current);
}

async function takeCamera(current) {
  if (!navigator.mediaDevices) throw new Error("The camera needs a page from https:// or localhost");
  const wanted = { video: { facingMode: "environment", width: { ideal: 1280 } } };
  const stream = await navigator.mediaDevices.getUserMedia(wanted).catch((error) => {
    throw new Error(`No camera: ${error.message}`);
  });
  if (!current()) return stream.getTracks().forEach((track) => track.stop());
  video.srcObject = stream;
  $("camera").setAttribute("aria-pressed", "true");
  await playing("camera", current);
}

async function playing(name, current) {
  await video.play().catch(() => {
    if (current()) throw new Error(`${name}: this browser cannot play it as a video`);
  });
  say(`${name} is playing`);
  let last = performance.now();
  let each = 0;
  while (await segment(video, video.videoWidth, video.videoHeight, name, current)) {
    const now = performance.now();
    each = each ? 0.9 * each + 0.1 * (now - last) : now - last;
    last = now;
    $("speed").textContent = `${(1000 / each).toFixed(1)} frames a second`;
    $("seek").max = Number.isFinite(video.duration) ? video.duration : 1;
    $("seek").value = video.currentTime;
    moved = false;
    // Not while nobody sees it, nor again and again while it is paused.
    do {
      await new Promise(requestAnimationFrame);
      if (video.paused) last = performance.now();
    } while (video.paused && !moved && current());
  }
}

function stopVideo() {
  video.pause();
  video.srcObject?.getTracks().forEach((track) => track.stop());
  if (video.src) URL.revokeObjectURL(video.src);
  video.srcObject = null;
  video.removeAttribute("src");
  $("camera").setAttribute("aria-pressed", "false");
  $("play").textContent = "Pause";
  $("playback").hidden = true;
  $("speed").textContent = $("summary").textContent = "";
}

// ---- Labels ----

// Returns whether it is shown: not if another source has been chosen by now.
async function segment(image, width, height, name, current) {
  await opened;
  if (!current()) return false;
  Object.assign(work.canvas, { width, height });
  work.drawImage(image, 0, 0, width, height);
  const { data } = work.getImageData(0, 0, width, height);
  const result = await network.call("segment", [data.buffer, { height, width }], [data.buffer]);
  if (!current()) return false;
  shown = { ...result, name, width, height };
  Object.assign(picture.canvas, { width, height });
  picture.drawImage(work.canvas, 0, 0);
  $("stage").dataset.state = "full";
  $("frame").hidden = false;
  $("frame").style.setProperty("--aspect", width / height);
  $("save-labels").disabled = $("save-overlay").disabled = false;
  if (image !== video) $("speed").textContent = `${Math.round(result.milliseconds)} ms`;
  const counts = new Uint32Array(256);
  for (const label of result.labels) counts[label]++;
  classes.forEach((entry, id) => (entry.share = counts[id] / result.labels.length));
  draw();
  drawLegend();
  return true;
}

function draw() {
  if (!shown) return;
  const [height, width] = manifest.size;
  Object.assign(overlay.canvas, { width, height });
  const image = overlay.createImageData(width, height);
  const colors = new Uint32Array(256); // Red, green, blue, opacity, from the lowest byte on.
  classes.forEach(({ color: [red, green, blue], hidden }, id) => {
    colors[id] = hidden ? 0 : ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  });
  const pixels = new Uint32Array(image.data.buffer);
  shown.labels.forEach((label, i) => (pixels[i] = colors[label]));
  if ($("fade").checked && shown.confidence) {
    shown.confidence.forEach((sure, i) => (image.data[4 * i + 3] &&= sure));
  }
  overlay.putImageData(image, 0, 0);
}

// ---- Legend ----

function legendRow({ name, color }) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  const [swatch, label, share] = ["i", "span", "data"].map((kind) => button.appendChild(document.createElement(kind)));
  swatch.style.background = `rgb(${color})`;
  label.textContent = name;
  button.setAttribute("aria-pressed", "true");
  button.title = "Show or hide";
  const row = document.createElement("li");
  row.append(button);
  $("legend").append(row);
  const entry = { name, color, share: 0, hidden: false, row, button, data: share };
  button.onclick = () => hide([entry], !entry.hidden);
  return entry;
}

function hide(entries, hidden) {
  for (const entry of entries) {
    entry.hidden = hidden;
    entry.button.setAttribute("aria-pressed", String(!hidden));
  }
  $("all").hidden = !classes.some((entry) => entry.hidden);
  draw();
}

function drawLegend() {
  for (const { share, row, data } of classes) {
    data.textContent = percent(share);
    row.style.setProperty("--share", share);
    row.dataset.absent = share === 0;
  }
  // A row that has the keyboard's focus would lose it by moving.
  if ($("legend").contains(document.activeElement)) return;
  // Of a video rows change places only once one is clearly larger, or they would dance.
  const margin = video.paused ? 0 : 0.02;
  for (let i = 1; i < legend.length; i++) {
    for (let k = i; k && legend[k].share > legend[k - 1].share + margin; k--) {
      [legend[k], legend[k - 1]] = [legend[k - 1], legend[k]];
    }
  }
  $("legend").append(...legend.map(({ row }) => row));
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

// ---- The class below the pointer or the cross ----

function probe({ x, y }, byKeys) {
  if (!shown) return;
  const [height, width] = manifest.size;
  const at = Math.min(height - 1, Math.floor(y * height)) * width + Math.min(width - 1, Math.floor(x * width));
  const entry = classes[shown.labels[at]];
  const sure = shown.confidence ? `, ${Math.round(shown.confidence[at] / 2.55)} % sure` : "";
  $("probe").textContent = `${entry?.name ?? "unknown"}${sure}`;
  $("probe").hidden = false;
  $("cross").hidden = !byKeys;
  for (const id of ["probe", "cross"]) {
    $(id).style.setProperty("--x", x);
    $(id).style.setProperty("--y", y);
  }
}

function probeByKeys(event) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
  if (dx === undefined) return;
  event.preventDefault();
  const step = event.shiftKey ? 0.1 : 0.02;
  const within = (place) => Math.min(1, Math.max(0, place));
  cross = { x: within(cross.x + step * dx), y: within(cross.y + step * dy) };
  probe(cross, true);
}

// ---- Downloads ----

async function saveLabels() {
  const { labels, width, height, name } = shown;
  save(await png(resizeNearest(labels, width, height), width, height), name, "labels");
}

function saveOverlay() {
  const { width, height, name } = shown;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const target = canvas.getContext("2d");
  target.drawImage(picture.canvas, 0, 0);
  target.globalAlpha = $("opacity").value;
  target.drawImage(overlay.canvas, 0, 0, width, height);
  canvas.toBlob((blob) => save(blob, name, "overlay"));
}

function save(blob, name, what) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${name.replace(/\.\w+$/, "")}_${what}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// OpenCV's INTER_NEAREST_EXACT, as in asap_tf.
function resizeNearest(labels, width, height) {
  const [sourceHeight, sourceWidth] = manifest.size;
  const places = (source, target) => {
    const step = Math.floor((source * 65536 + Math.floor(target / 2)) / target);
    const first = Math.floor(step / 2) - (source % 2);
    return Int32Array.from({ length: target }, (_, i) => Math.min(source - 1, Math.floor((step * i + first) / 65536)));
  };
  const columns = places(sourceWidth, width);
  const result = new Uint8Array(width * height);
  places(sourceHeight, height).forEach((row, y) => {
    for (let x = 0; x < width; x++) result[y * width + x] = labels[row * sourceWidth + columns[x]];
  });
  return result;
}

// A PNG of 8 bits of gray, which a canvas does not write.
async function png(values, width, height) {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(values.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8);
  const data = new Uint8Array(await new Response(packed).arrayBuffer());
  const chunks = [chunk("IHDR", new Uint8Array(header.buffer)), chunk("IDAT", data), chunk("IEND", new Uint8Array())];
  return new Blob([new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks], { type: "image/png" });
}

function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  let crc = -1;
  for (const byte of bytes.subarray(4, -4)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  view.setUint32(data.length + 8, ~crc >>> 0);
  return bytes;
}

// ---- What the user does ----

function listen() {
  const takeFirst = ([file]) => file && takeFile(file);
  $("file").onchange = () => {
    takeFirst([...$("file").files]);
    $("file").value = ""; // So that the same file can be chosen again.
  };
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.dataset.dragging = "";
  };
  document.ondragleave = (event) => event.relatedTarget ?? delete document.body.dataset.dragging;
  document.ondrop = (event) => {
    event.preventDefault();
    delete document.body.dataset.dragging;
    takeFirst(event.dataTransfer.files);
  };
  $("example").onclick = () => 
    take(async (current) => takePhoto(await (await fetch("example.jpg")).blob(), "example.jpg", current));
  $("camera").onclick = () => {
    if ($("camera").getAttribute("aria-pressed") === "true") return take(async () => say("The camera is off"));
    take(takeCamera);
  };
  $("play").onclick = () => {
    video.paused ? video.play() : video.pause();
    $("play").textContent = video.paused ? "Play" : "Pause";
  };
  $("seek").oninput = () => (video.currentTime = $("seek").value);
  video.onseeked = () => (moved = true);
  ($("opacity").oninput = () => ($("overlay").style.opacity = $("opacity").value))();
  $("fade").onchange = draw;
  $("all").onclick = () => hide(classes, false);
  $("runtime").onchange = () => take(() => (opened = open($("runtime").value)));
  $("save-labels").onclick = saveLabels;
  $("save-overlay").onclick = saveOverlay;
  const frame = $("frame");
  frame.onkeydown = probeByKeys;
  frame.onpointerdown = frame.onpointermove = (event) => {
    const box = frame.getBoundingClientRect();
    probe({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  };
  frame.onpointerleave = frame.onblur = () => ($("probe").hidden = $("cross").hidden = true);
}

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}
