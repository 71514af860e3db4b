"""`asap-tf` in a process of its own, with the network `tiny` in ASAP's place.

    python tests/support/host_process.py train RECIPE ... [--hosts N ...]

The environment says what else: READS, a file to which the name of every training frame that is
read is added; TIMES, a file for the moment in which each step ends; SIGKILL_AT and SIGTERM_AT, the
step in which the process sends itself that signal; DEVICES, number of TensorFlow's logical devices;
CORE, the only one to use; VERSION, of asap-tf.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
from pathlib import Path

if "CORE" in os.environ:
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ["CORE"]) % len(cores)]})
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))


def add_line(variable: str, line: object) -> None:
    """To the file that an environment variable names, if it is set."""
    if variable in os.environ:
        with open(os.environ[variable], "a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@functools.cache
def prepare() -> None:
    """Puts the network in its place and watches reads and steps."""
    import keras

    if "DEVICES" in os.environ:
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * int(os.environ["DEVICES"])
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)

    from asap_tf.data import pipeline
    from asap_tf.models.registry import BUILDERS
    from support.tiny import tiny_as_asap

    BUILDERS["asap"] = tiny_as_asap()
    read, fit = pipeline.read_pair, keras.Model.fit

    def counted(pair, encoding):
        if pair.image.parent.name == "train":
            add_line("READS", pair.image.name)
        return read(pair, encoding)

    class Steps(keras.callbacks.Callback):
        taken = 0

        def on_train_batch_end(self, batch, logs=None):
            Steps.taken += 1
            for name in ("SIGKILL", "SIGTERM"):
                if Steps.taken == int(os.environ.get(f"{name}_AT", 0)):
                    os.kill(os.getpid(), signal.Signals[name])
            add_line("TIMES", time.monotonic())

    def watched(self, *args, callbacks=(), **options):
        return fit(self, *args, callbacks=[Steps(), *callbacks], **options)

    pipeline.read_pair, keras.Model.fit = counted, watched


if __name__ == "__main__":
    from asap_tf.cli import main
    from asap_tf.core import distributed, keras_backend

    import_keras = keras_backend.import_keras

    def import_prepared() -> None:
        import_keras()
        prepare()

    keras_backend.import_keras = import_prepared
    if "VERSION" in os.environ:
        distributed.package_version = lambda: os.environ["VERSION"]
    sys.argv[0] = "asap-tf"
    main()
