from __future__ import annotations

import signal
from collections import Counter

import keras
import numpy as np
import pytest

from asap_tf.core.errors import AsapError, Interrupted
from asap_tf.core.signals import stop_on_signals
from asap_tf.training.callbacks import duration
from asap_tf.training.run_folder import RunFolder


class Recorder(keras.callbacks.Callback):
    """Notes every hook with its number and the names of its logs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append("begin")

    def on_train_end(self, logs=None):
        self.seen.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(("epoch", epoch))

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(("epoch done", epoch, "val_miou" in logs))
        assert 0 < logs["loss"] and {"logits_loss", "aux3_loss", "aux4_loss"} < logs.keys()

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(("batch", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(("batch done", batch))
        assert 0 < logs["loss"]


def epoch(number, validated, batches=(0, 1)):
    hooks = [hook for batch in batches for hook in (("batch", batch), ("batch done", batch))]
    return [("epoch", number), *hooks, ("epoch done", number, validated)]


@pytest.mark.usefixtures("eager")
def test_callbacks_of_the_user_get_keras_hooks_also_when_a_run_is_resumed(
    trainer, tiny_recipe, tmp_path, at_step
):
    first, second = Recorder(), Recorder()
    recipe = tiny_recipe(train={"epochs": 2, "validate_every": 2})
    stop = at_step(3, after=lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match="stopped at step 3 of 4"):
        trainer(tmp_path / "run", recipe, first, stop).train()
    assert first.seen == ["begin", *epoch(0, False), *epoch(1, False, [0]), "end"]
    assert first.params == {"verbose": 0, "epochs": 2, "steps": 2}

    run = trainer(tmp_path / "run", recipe, second)
    run.train()
    assert second.seen == ["begin", *epoch(1, True, [1]), "end"]
    assert second.model is run.task.model


class StopAt(keras.callbacks.Callback):
    def __init__(self, hook, number):
        super().__init__()
        setattr(self, hook, lambda n, logs=None: setattr(self.model, "stop_training", n == number))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("hook", "number", "steps"), [("on_epoch_end", 0, 2), ("on_train_batch_end", 0, 1)]
)
def test_a_callback_that_stops_a_training_ends_it_scored_and_saved(
    trainer, tiny_recipe, tmp_path, hook, number, steps
):
    recipe = tiny_recipe(train={"validate_every": 3})
    trainer(tmp_path / "run", recipe, StopAt(hook, number)).train()
    run = RunFolder(tmp_path / "run")
    assert run.latest().step == steps and run.model.exists()
    assert Counter(e["step"] for e in run.read_log() if "val_miou" in e) == {steps: 1}


@pytest.mark.usefixtures("eager")
def test_a_line_an_epoch_without_a_terminal(trainer, tiny_recipe, tmp_path, capsys):
    trainer(tmp_path / "run", tiny_recipe(train={"epochs": 2, "validate_every": 2})).train()
    out, err = capsys.readouterr()
    first, second = out.splitlines()
    assert first.startswith("epoch 1/2  loss ") and "mIoU" not in first
    assert second.startswith("epoch 2/2  loss ") and "val mIoU " in second and "best" in second
    assert "train:" not in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89, "89 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 00 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested == number
    assert signal.getsignal(number) is before


def test_second_ctrl_c_interrupts():
    # Not everyone who starts the tests leaves it at that: a shell's background jobs ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), stop_on_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_weights_that_an_activation_hides_end_a_training_within_a_step(
    trainer, tiny_recipe, tmp_path, at_step
):
    run = trainer(tmp_path / "run", tiny_recipe(train={"batch_size": 1}))
    kernel = run.task.model.get_layer("backbone2_conv").kernel
    # On a CPU, ReLU makes zeros of what is not a number: the loss stays finite.
    run.callbacks = [at_step(2, before=lambda: kernel.assign(np.full(kernel.shape, np.nan)))]
    with pytest.raises(AsapError, match=r"is not finite after step 2; the run is kept"):
        run.train()
    assert run.run.latest() is None
