"""One host of `benchmarks/hosts.py`: `asap-tf` with a network of five convolutions in ASAP's place.

    python benchmarks/hosts_process.py train RECIPE ... [--hosts N ...]

The environment says what else: READS, a file to which the name of every training frame that is
read is added; TIMES, a file for the moment in which each step ends; DIE_AT and STOP_AT, the step in
which the process is killed or asked to end; DEVICES, TensorFlow's logical ones; CORE, the only one
to use.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from typing import Any

if "CORE" in os.environ:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["CORE"]) % len(cores)]})
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def small_network(
    num_classes: int,
    input_shape: tuple,
    weights: object = None,
    aux_heads: bool = False,
    **options: Any,
):
    """ASAP takes too long to its first step; what is shown here is about what is around it."""
    from asap_tf.layers.blocks import conv_block
    from asap_tf.models.interface import head, input_frames, normalize, segmentation_model

    frames = input_frames(num_classes, input_shape)
    x, maps = normalize(frames), {}
    for i in range(5):
        x = conv_block(x, 8, 3, f"backbone{i + 1}", stride=2)
        maps[2 ** (i + 1)] = x
    logits = head(maps[8], num_classes, 8, "logits")
    return segmentation_model("small", frames, logits, maps, aux_heads, weights)


def prepare() -> None:
    """Puts the network in its place and watches the steps."""
    from asap_tf.core.keras_backend import import_keras

    import_keras()
    if "DEVICES" in os.environ:
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["DEVICES"])
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)

    from asap_tf.data import pipeline
    from asap_tf.models.registry import BUILDERS
    from asap_tf.training.trainer import Steps

    BUILDERS["asap"] = functools.wraps(BUILDERS["asap"])(small_network)
    read, ended = pipeline.read_pair, Steps.on_train_batch_end

    def counted(pair, encoding):
        if "READS" in os.environ and pair.image.parent.name == "train":
            with open(os.environ["READS"], "a", encoding="utf-8") as file:
                file.write(f"{pair.image.name}\n")
        return read(pair, encoding)

    def step(self, batch, logs=None):
        for name, number in (("DIE_AT", signal.SIGKILL), ("STOP_AT", signal.SIGTERM)):
            if self.state.step + 1 == int(os.environ.get(name, 0)):
                os.kill(os.getpid(), number)
        ended(self, batch, logs)
        if "TIMES" in os.environ:
            with open(os.environ["TIMES"], "a", encoding="utf-8") as file:
                file.write(f"{time.monotonic()}\n")

    pipeline.read_pair, Steps.on_train_batch_end = counted, step


if __name__ == "__main__":
    # What JAX is asked for must come before Keras is imported.
    from asap_tf import training
    from asap_tf.cli import main

    check = training.check_data

    def check_data(*args, **kwargs):
        report = check(*args, **kwargs)
        prepare()
        return report

    training.check_data = check_data
    sys.argv[0] = "asap-tf"
    main()
