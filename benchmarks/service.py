"""What a service gives: requests a second beside the bare network, latency, memory.

    python benchmarks/service.py MODEL [--threads 2] [--seconds 20] [--requests 10000]

Starts `asap-tf serve MODEL`, and asks it for labels of a rendered street, by 1, 8 and 64 clients
that keep their connections: as JPEG to `/predict`, and as raw frames to the V2 protocol, whose rate
over the bare network's leaves the coding of images out. The bare network runs in this process,
before and after every row. The clients take processor time too. At the end, the service's memory
over many requests.
"""

from __future__ import annotations

import http.client
import json
import math
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from asap_tf.benchmark.machine import this_machine
from asap_tf.benchmark.markdown import machine_lines, table, warning_lines
from asap_tf.data.frames import read_frame
from asap_tf.data.images import encode_image
from asap_tf.runtime import Segmenter, load
from asap_tf.streets import render

CLIENTS = (1, 8, 64)


class Request(NamedTuple):
    path: str
    body: bytes
    headers: dict[str, str]


def jpeg_request(frame: np.ndarray) -> Request:
    return Request("/predict", encode_image(frame, "jpg"), {})


def raw_request(frame: np.ndarray, name: str) -> Request:
    tensor = {"name": "frames", "datatype": "UINT8", "shape": [1, *frame.shape]}
    head = json.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": frame.size}}],
            "parameters": {"binary_data_output": True},
        }
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return Request(f"/v2/models/{name}/infer", head + frame.tobytes(), headers)


@contextmanager
def service(model: Path, threads: int) -> Iterator[tuple[int, int]]:
    """`asap-tf serve`: its port, and the number of its process."""
    program = "from asap_tf.cli import main; main()"
    options = ["serve", str(model), "--port", "0", "--threads", str(threads)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *options], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = process.stdout.readline().split("  ")[0]
        yield int(address.rpartition(":")[2]), process.pid
        process.terminate()


def latencies(
    port: int, request: Request, clients: int, seconds: float, most: int = sys.maxsize
) -> tuple[list[float], float]:
    """Seconds of every request, and of all together.

    Raises:
        RuntimeError: if one is not answered by 200.
    """
    found: list[float] = []
    failed: list[str] = []
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while len(found) < most and not failed and time.perf_counter() < end:
            start = time.perf_counter()
            connection.request("POST", request.path, request.body, request.headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                failed.append(f"{response.status} {content[:200]!r}")
            found.append(time.perf_counter() - start)
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError(f"{request.path}: {failed[0]}")
    return found, time.perf_counter() - start


def resident(pid: int) -> float:
    """Memory of a process in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def bare_rate(segmenter: Segmenter, frame: np.ndarray, seconds: float) -> float:
    """Frames a second of the network in this process."""
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        segmenter.predict(frame[np.newaxis])
        count += 1
    return count / (time.perf_counter() - start)


def coding_rows(frame: np.ndarray, content: bytes, labels: np.ndarray) -> list[str]:
    """Lines about the work beside the network."""
    ways: dict[str, Callable[[], object]] = {
        "decoding the JPEG": lambda: read_frame(Path("frame.jpg"), content),
        "encoding the PNG of ids": lambda: encode_image(labels, "png"),
    }
    lines = []
    for name, way in ways.items():
        times = []
        for _ in range(50):
            start = time.perf_counter()
            way()
            times.append(time.perf_counter() - start)
        lines.append(f"- {name}, {frame.shape[1]} x {frame.shape[0]}: {median_ms(times):.1f} ms")
    return lines


def median_ms(seconds: Sequence[float]) -> float:
    return 1000 * statistics.median(seconds)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--threads", default=2, show_default=True, help="Of the network.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each row.")
@click.option("--requests", "count", default=10_000, show_default=True, help="For the memory.")
@click.option("--height", default=720, show_default=True, help="Of the frame; twice as wide.")
def main(model: Path, threads: int, seconds: float, count: int, height: int) -> None:
    """What a service of MODEL gives."""
    machine = this_machine()
    frame = render(0, height, 2 * height).image
    segmenter = load(model, threads)
    name = model.name if model.is_dir() else model.stem
    jpeg = jpeg_request(frame)
    requests = {"/predict, JPEG": jpeg, "V2, raw frames": raw_request(frame, name)}
    cells = []
    with service(model, threads) as (port, pid):
        bare_rate(segmenter, frame, seconds / 4)
        for what, request in requests.items():
            for clients in CLIENTS:
                before = bare_rate(segmenter, frame, seconds / 4)
                found, whole = latencies(port, request, clients, seconds)
                alone = (before + bare_rate(segmenter, frame, seconds / 4)) / 2
                cuts = statistics.quantiles(found, n=100)
                cells.append(
                    [
                        what,
                        str(clients),
                        f"{len(found) / whole:.1f}",
                        f"{len(found) / whole / alone:.2f}",
                        f"{1000 * cuts[49]:.0f}",
                        f"{1000 * cuts[98]:.0f}",
                    ]
                )
        memory = []
        for part in (count // 100, count // 10, count - count // 10 - count // 100):
            latencies(port, jpeg, 8, math.inf, part)
            memory.append(f"{resident(pid):.0f}")
    labels = segmenter.predict(frame[np.newaxis])[0]
    header = ("request", "clients", "a second", "over the bare network", "p50, ms", "p99, ms")
    lines = [
        *machine_lines(machine),
        f"- {name}, {segmenter.network.runtime}",
        *coding_rows(frame, jpeg.body, labels),
        f"- memory of the service after {count // 100}, {count // 100 + count // 10} and {count} "
        f"requests more: {', '.join(memory)} MB",
        *warning_lines(machine),
        "",
        *table(header, cells, "lrrrrr"),
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
