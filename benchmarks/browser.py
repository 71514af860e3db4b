"""Frames a second in the browser, by two runtimes, against LiteRT on the same processor.

    python benchmarks/browser.py --data CAMVID [--model asap_resnet18_half_camvid] [--size 256x512]

In the same rounds, from a frame of the network's size to labels and confidence: in WebAssembly in
Chromium LiteRT.js, in the page's own worker, and ONNX Runtime Web, which the page does not use; and
LiteRT native, with as many threads. Needs Chromium, npm and `.[dev]`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from asap_tf.benchmark.rounds import measure, warm_up  # noqa: E402
from asap_tf.benchmark.statistics import speedup, summarize  # noqa: E402
from asap_tf.cli.checks import parse_size  # noqa: E402
from asap_tf.export.exporter import export  # noqa: E402
from asap_tf.export.web import runtime, web_page  # noqa: E402
from asap_tf.runtime import load  # noqa: E402
from asap_tf.saving import model_file  # noqa: E402
from support.browser import chromium, served  # noqa: E402

PRECISIONS = ("fp32", "int8")
OUTPUT = "labels+confidence"

OPEN = """async () => {
    const manifest = await (await fetch("manifest.json")).json();
    const script = URL.createObjectURL(await (await fetch("network.js")).blob());
    const worker = new Worker(script, { type: "module" });
    window.call = (method, ...args) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data: { result, error } }) => error ? reject(error) : resolve(result);
        worker.postMessage({ id: 0, method, args });
    });
    const [height, width] = manifest.size;
    const pixels = new Uint8Array(4 * height * width).map((_, i) => (i * 7919) >> 5);
    const size = { height, width };
    window.turn = async () => (await call("segment", pixels.buffer, size)).milliseconds;
    return (await call("open", manifest, document.baseURI, "wasm")).threads;
}"""


ONNX_RUNTIME_WEB = "1.30.0"

ONNX_PAGE = """<!doctype html>
<script type="module">
  import * as ort from "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
  window.open_network = async (name, shape, numThreads) => {
    Object.assign(ort.env.wasm, { numThreads, wasmPaths: "/node_modules/onnxruntime-web/dist/" });
    const session = await ort.InferenceSession.create(name, { executionProviders: ["wasm"] });
    const pixels = new Uint8Array(3 * shape[0] * shape[1]).map((_, i) => (i * 7919) >> 5);
    window.turn = async () => {
      const start = performance.now();
      await session.run({ frames: new ort.Tensor("uint8", pixels, [1, ...shape, 3]) });
      return performance.now() - start;
    };
  };
  window.ready = true;
</script>"""


class InBrowser:
    """The page's worker, timed by itself."""

    def __init__(self, browser: Any, address: str):
        self._page = browser.new_page()
        # Of the page only its address is taken: its own worker stays out of the way.
        self._page.route("**/page.js", lambda route: route.fulfill(body=""))
        self._page.goto(address)
        self.threads = self._page.evaluate(OPEN)

    def turn(self) -> Mapping[str, float]:
        return {"network": self._page.evaluate("turn()") / 1000}


class OnnxRuntimeWeb:
    """An export in ONNX Runtime Web, timed by itself."""

    def __init__(self, browser: Any, address: str, name: str, size: tuple[int, int], threads: int):
        self._page = browser.new_page()
        self._page.goto(address)
        self._page.wait_for_function("window.ready")
        self._page.evaluate("(args) => open_network(...args)", [name, size, threads])

    def turn(self) -> Mapping[str, float]:
        return {"network": self._page.evaluate("turn()") / 1000}


def install_onnx_runtime_web(folder: Path) -> None:
    """Puts ONNX Runtime Web, by npm, and a page for it into a folder."""
    package = f"onnxruntime-web@{ONNX_RUNTIME_WEB}"
    subprocess.run([runtime.require_npm(), "install", "--silent", package], cwd=folder, check=True)
    (folder / "index.html").write_text(ONNX_PAGE)


class Native:
    """An export in LiteRT."""

    def __init__(self, path: Path, threads: int):
        self._network = load(path, threads=threads).network
        self._size = self._network.size or (0, 0)
        self._frame = np.random.default_rng(0).integers(0, 256, (1, *self._size, 3), np.uint8)

    def turn(self) -> Mapping[str, float]:
        start = time.perf_counter()
        list(self._network.labels_and_confidence(self._frame, self._size))
        return {"network": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True, help="calibrates int8")
    parser.add_argument("--model", type=Path, default=Path("asap_resnet18_half_camvid"))
    parser.add_argument("--size", default="256x512")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--least", type=int, default=100, help="rounds")
    arguments = parser.parse_args()
    size = parse_size(arguments.size)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options: dict[str, Any] = {
            "size": size,
            "calibration": arguments.data,
            "output": OUTPUT,
        }
        model = model_file(arguments.model)
        export(model, folder / "native", ["litert", "onnx"], PRECISIONS, **options)
        browser = stack.enter_context(chromium())
        install_onnx_runtime_web(folder / "native")
        address = stack.enter_context(served(folder / "native"))
        runners: dict[str, InBrowser | OnnxRuntimeWeb | Native] = {}
        threads = 1
        for precision in PRECISIONS:
            home = folder / precision
            export(model, home, [], package=web_page([precision], vendor=True), **options)
            in_browser = InBrowser(browser, stack.enter_context(served(home)))
            runners[f"LiteRT.js, {precision}"], threads = in_browser, in_browser.threads
        for precision in PRECISIONS:
            file = folder / "native" / f"asap_{precision}"
            runners[f"LiteRT native, {precision}"] = Native(file.with_suffix(".tflite"), threads)
            runners[f"ONNX Runtime Web, {precision}"] = OnnxRuntimeWeb(
                browser, address, f"{file.name}.onnx", size, threads
            )
        print(f"Chromium {browser.version}, {arguments.size}, {threads} threads")
        for runner in runners.values():
            warm_up(runner)
        rounds = measure(list(runners.values()), arguments.seconds, least=arguments.least)
    columns = {name: [turns[i]["network"] for turns in rounds] for i, name in enumerate(runners)}
    print(
        "| | ms, median | ms, 90 % | frames a second | times LiteRT native |\n|---|---|---|---|---|"
    )
    for name, seconds in columns.items():
        summary = summarize(seconds)
        native = columns[f"LiteRT native, {name.rpartition(' ')[2]}"]
        print(
            f"| {name} | {1000 * summary.p50:.1f} | {1000 * summary.p90:.1f} "
            f"| {summary.rate:.1f} | {speedup(seconds, native).median:.2f} |"
        )


if __name__ == "__main__":
    main()
