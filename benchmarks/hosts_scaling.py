"""How the time of a training step grows with hosts: a small model, fitted here, and its forecast.

    python benchmarks/hosts_scaling.py [--images-a-second 100] [--between 25] ...

A step of n accelerators takes

    compute + collectives * latency(n) + 2 (n - 1) / n * gradient bytes / bandwidth

where latency(n) = latency(2) * log2(n), and input runs beside it: a step can be no shorter than
reading and decoding its frames takes. Measured here, between two processes with one core each:
the time of an all-reduce alone by its size, which gives the bandwidth (the fastest of many: other
work on the machine only ever adds); the collectives in the compiled step; and a step of one process
against one of two with twice the batch, which gives what a collective costs within a step, where
the processes wait for each other. With a larger batch, the model has to predict the step of two.
Then it is filled with an accelerator's numbers, which are assumptions.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.hosts import HostRunner, finish, free_port  # noqa: E402

SIZES = (1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24)
"""Bytes."""
REPEATS = 50
BATCHES = (4, 10)
"""Frames of a process: for the fit, and for what has to be predicted."""
HEADS = 3
"""Outputs with an OHEM loss, each of which may have to rank all pixels of the batch."""

REDUCE = """
import os, sys, time
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[int(sys.argv[1]) % os.cpu_count()]})
os.environ["KERAS_BACKEND"] = "jax"
import numpy as np
from asap_tf.core.distributed import connect
with connect("2", int(sys.argv[1]), sys.argv[2]) as hosts:
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    mesh = Mesh(np.array(jax.devices()), ("hosts",))
    split, whole = NamedSharding(mesh, P("hosts")), NamedSharding(mesh, P())
    add = jax.jit(lambda x: x.sum(0), out_shardings=whole)
    for size in map(int, sys.argv[3].split(",")):
        x = jax.make_array_from_process_local_data(split, np.ones((1, size // 4), np.float32))
        add(x).block_until_ready()
        seconds = []
        for _ in range(int(sys.argv[4])):
            start = time.perf_counter()
            add(x).block_until_ready()
            seconds.append(time.perf_counter() - start)
        if hosts.is_main:
            print(size, min(seconds))
"""
"""One of two processes that add up arrays; the first prints bytes and the fewest seconds."""


def reduce_times() -> list[tuple[int, float]]:
    address = f"127.0.0.1:{free_port()}"
    sizes = ",".join(map(str, SIZES))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", REDUCE, str(i), address, sizes, str(REPEATS)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    out = [process.communicate(timeout=600)[0] for process in processes][0]
    found = re.findall(r"^(\d+) ([\d.e-]+)$", out, re.MULTILINE)
    return [(int(size), float(seconds)) for size, seconds in found]


def fit(times: list[tuple[int, float]]) -> tuple[float, float]:
    """Seconds of an empty all-reduce, and bytes a second, by least squares of relative errors."""
    sizes, seconds = np.array(times).T
    columns = np.stack([np.ones_like(sizes), sizes], axis=1) / seconds[:, None]
    (latency, per_byte), *_ = np.linalg.lstsq(columns, np.ones_like(seconds), rcond=None)
    return float(latency), float(1 / per_byte)


def collectives(bench: HostRunner) -> int:
    """All-reduces in the compiled step of the small network."""
    dump = bench.home / "dump"
    flags = f"--xla_dump_to={dump} --xla_dump_hlo_as_text --xla_force_host_platform_device_count=2"
    bench.train("dumped", XLA_FLAGS=flags)
    (text,) = dump.glob("*jit_train_step*cpu_after_optimizations.txt")
    return len(re.findall(r"= .* all-reduce\(", text.read_text()))


def step_times(bench: HostRunner, batch: int) -> tuple[float, float]:
    """Fewest seconds of a step: of one process, and of two with twice the batch."""
    runs, files = (
        [bench.home / f"{kind}-{batch}-{n}" for n in (1, 2)] for kind in ("run", "times")
    )
    commands = [
        ("train", bench.recipe, "--out", run, "--set", f"train.batch_size={n * batch}")
        for n, run in enumerate(runs, 1)
    ]
    finish(bench.start(*commands[0], CORE=0, TIMES=files[0]))
    environments = ({"CORE": 0, "TIMES": files[1]}, {"CORE": 1})
    finish(*bench.pair(*commands[1], environments=environments))
    ends = [np.array([float(line) for line in file.read_text().split()]) for file in files]
    one, two = (float(np.diff(e).min()) for e in ends)
    return one, two


def network_size() -> tuple[int, int]:
    """Parameters that are trained, and BatchNorms, of ASAP with its auxiliary heads."""
    from asap_tf import ASAPNet
    from asap_tf.layers.blocks import BatchNormalization

    model = ASAPNet(19, (256, 256, 3), aux_heads=True)
    norms = [layer for layer in model.layers if isinstance(layer, BatchNormalization)]
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables), len(norms)


def decoding() -> float:
    """Seconds of one core to read and augment one frame of 1024 x 2048 to a crop of 1024 x 1024."""
    import cv2

    from asap_tf.data import open_dataset
    from asap_tf.data.augment import Augmentation
    from asap_tf.data.images import read_pair
    from asap_tf.streets import write_streets

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_streets(Path(folder) / "s", train=1, val=1, size=(1024, 2048))
        dataset = open_dataset(Path(folder) / "s")
        (pair,) = dataset.pairs("train")
        augment, seconds = Augmentation((1024, 1024), brightness=0.3), []
        for i in range(5):
            start = time.process_time()
            augment(*read_pair(pair, dataset.encoding), np.random.default_rng(i))
            seconds.append(time.process_time() - start)
    return sorted(seconds)[2]


def forecast(options: argparse.Namespace, parameters: int, small: int, decode: float) -> None:
    print(
        "\n| accelerators | compute | gradient | small all-reduces | step | efficiency | images a "
        "step for 90 % | images/s | cores a host | storage | hardest pixels |\n" + "|---" * 11 + "|"
    )
    compute = options.images / options.images_a_second
    for n in (1, 8, 64, 512):
        bandwidth = 1e9 * (options.between if n > options.per_host else options.within)
        gradient = 2 * (n - 1) / n * 4 * parameters / bandwidth
        latency = small * options.microseconds * 1e-6 * math.log2(n)
        step = compute + gradient + latency
        rate = n * options.images / step
        enough = math.ceil(9 * (gradient + latency) * options.images_a_second)
        cores = decode * rate / n * min(n, options.per_host)
        ranked = 4 * options.pixels * options.images * n * HEADS if n > 1 else 0
        print(
            f"| {n} | {compute * 1e3:.0f} ms | {gradient * 1e3:.1f} ms | {latency * 1e3:.1f} ms | "
            f"{step * 1e3:.0f} ms | {compute / step:.0%} | {max(1, enough)} | {rate:,.0f} | "
            f"{cores:.0f} | {rate * options.megabytes / 1e3:.1f} GB/s | {ranked / 1e9:.1f} GB, "
            f"{ranked / bandwidth * 1e3:.0f} ms |"
        )
    fed = options.storage * 1e3 / options.megabytes / options.images_a_second
    print(f"\nstorage of {options.storage:g} GB/s feeds {fed:.0f} accelerators at full rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4, help="a step and accelerator")
    parser.add_argument("--images-a-second", type=float, default=100, help="of one accelerator")
    parser.add_argument("--pixels", type=int, default=1024 * 1024, help="of a crop")
    parser.add_argument("--per-host", type=int, default=8, help="accelerators in a host")
    parser.add_argument("--within", type=float, default=200, help="GB/s between those of a host")
    parser.add_argument("--between", type=float, default=25, help="GB/s of each between hosts")
    parser.add_argument("--storage", type=float, default=50, help="GB/s of the shared disk")
    parser.add_argument("--microseconds", type=float, default=15, help="all-reduce between two")
    parser.add_argument("--megabytes", type=float, default=2.4, help="of a frame and its mask")
    options = parser.parse_args()

    times = reduce_times()
    latency, bandwidth = fit(times)
    print(f"all-reduce between two processes: {latency * 1e6:.0f} us + bytes / "
          f"{bandwidth / 1e9:.2f} GB/s")  # fmt: skip
    for size, seconds in times:
        print(f"  {size:>10,} bytes: {seconds * 1e3:8.2f} ms, by the model "
              f"{(latency + size / bandwidth) * 1e3:8.2f} ms")  # fmt: skip
    parameters, norms = network_size()
    with tempfile.TemporaryDirectory() as folder:
        bench = HostRunner(Path(folder))
        count = collectives(bench)
        steps = [step_times(bench, batch) for batch in BATCHES]
    within = (steps[0][1] - steps[0][0]) / count
    print(f"all-reduces in the compiled step of the small network, with 8 BatchNorms: {count}")
    for batch, (alone, two) in zip(BATCHES, steps, strict=True):
        predicted = alone + count * within
        print(f"{batch} frames a process: step of one {alone * 1e3:.1f} ms, of two "
              f"{two * 1e3:.1f} ms, by the model {predicted * 1e3:.1f} ms")  # fmt: skip
    print(f"so an all-reduce within a step costs {within * 1e6:.0f} us")
    decode = decoding()
    print(f"reading and augmenting a frame of 1024 x 2048: {decode * 1e3:.0f} ms of one core")
    small = round(count / 8 * norms)
    print(f"ASAP: {4 * parameters / 1e6:.0f} MB of gradient, {norms} BatchNorms, so about {small} "
          "all-reduces")  # fmt: skip
    print("assumed: " + ", ".join(f"{k.replace('_', ' ')} {v:g}" for k, v in vars(options).items()))
    forecast(options, parameters, small, decode)


if __name__ == "__main__":
    main()
