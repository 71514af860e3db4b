"""Two training steps of every network, in a process of its own: a fault of a kernel ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

STEPS = """
import keras
import tensorflow as tf

from asap_tf.models import create_model, list_models

for name in list_models():
    # Its strided 1 x 1 convolutions from 8 channels are what TensorFlow has crashed in.
    options = {"width": 0.125} if name == "asap" else {}
    model = create_model(name, 2, (None, None, 3), aux_heads=True, **options)
    weights = model.trainable_variables
    for batch in (1, 2, 8) if options else (1, 2):
        frames = keras.random.uniform((batch, 32, 64, 3), 0, 255)
        for _ in range(2):
            print(name, options, "batch", batch, flush=True)
            with tf.GradientTape() as tape:
                loss = sum(tf.reduce_mean(y**2) for y in model(frames, training=True).values())
            for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
                weight.assign_sub(1e-6 * gradient)
    keras.backend.clear_session()
"""


def test_every_network_takes_two_steps():
    done = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True)
    ends = {-number: number.name for number in signal.Signals}
    last = (done.stdout or done.stderr).splitlines()[-1:]
    assert done.returncode == 0, f"{ends.get(done.returncode, done.stderr[-2000:])} at {last}"
