from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import asap_tf
from asap_tf.core.errors import AsapError, UsageError
from asap_tf.core.labels import LabelClass
from asap_tf.saving import save_model
from asap_tf.training import UNLABELED, check_data
from asap_tf.training.distillation import FeatureMimicking, KLDivergence
from support.tiny import Tiny


@pytest.fixture
def teacher(tiny_root, tmp_path):
    """A `.keras` file of the classes of `tiny_root`, with random weights."""
    keras.utils.set_random_seed(7)
    classes = asap_tf.open_dataset(tiny_root).classes
    model = Tiny(11, (None, None, 3))
    sure = model.get_layer("logits_classes")
    sure.set_weights([300 * w for w in sure.get_weights()])
    save_model(model, tmp_path / "teacher.keras", classes, None)
    return str(tmp_path / "teacher.keras")


def test_divergence_by_a_naive_sum():
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(0, 3, (2, 2, 4, 5, 7))
    naive = np.zeros((2, 4, 5))
    for at in np.ndindex(naive.shape):
        p, q = (np.exp(x[at]) / np.exp(x[at]).sum() for x in (teacher, student))
        naive[at] = (p * np.log(p / q)).sum()
    np.testing.assert_allclose(KLDivergence()([student, teacher]), naive, rtol=1e-4)
    np.testing.assert_allclose(KLDivergence()([teacher, teacher]), np.zeros_like(naive), atol=1e-6)


def test_slopes_of_the_divergence_by_differences():
    rng = np.random.default_rng(0)
    student, teacher, upstream = rng.normal(0, 3, (3, 1, 2, 3, 5)).astype("f")
    upstream = upstream[..., 0]
    inputs = tf.constant(student), tf.constant(teacher)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(upstream * KLDivergence()(list(inputs)))
    slopes, of_teacher = tape.gradient(total, inputs)
    assert of_teacher is None
    expected = np.zeros_like(student)
    for at in np.ndindex(student.shape):
        moved = [student.copy(), student.copy()]
        moved[0][at] -= 0.01
        moved[1][at] += 0.01
        below, above = (np.sum(upstream * KLDivergence()([x, teacher])) for x in moved)
        expected[at] = (above - below) / 0.02
    np.testing.assert_allclose(slopes, expected, atol=2e-3)


def test_distance_of_features_by_naive_means():
    rng = np.random.default_rng(0)
    own = [rng.normal(size=(2, 4, 6, 3)).astype("f"), rng.normal(size=(2, 2, 3, 5)).astype("f")]
    wanted = [rng.normal(5, 3, (*x.shape[:3], 4)).astype("f") for x in own]
    layer = FeatureMimicking()
    layer([*own, *wanted])
    expected = np.zeros(2)
    for project, x, y in zip(layer.projections, own, wanted, strict=True):
        kernel, bias = (np.array(v) for v in project.weights)
        for n in range(2):
            scaled = (y[n] - y.mean((0, 1, 2))) / y.std((0, 1, 2))
            expected[n] += ((x[n] @ kernel[0, 0] + bias - scaled) ** 2).mean()
    np.testing.assert_allclose(layer([*own, *wanted]), expected, rtol=1e-4)


@pytest.mark.usefixtures("eager")
def test_features_of_a_teacher_are_learned_and_resumed(trainer, tiny_recipe, teacher, tmp_path):
    recipe = tiny_recipe(
        distill={"teacher": teacher, "features": 100.0},
        optimizer={"name": "adamw", "learning_rate": 0.01},
        train={"epochs": 8, "validate_every": 8},
    )
    losses = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: losses.append(logs["features_loss"])
    )
    run = trainer(tmp_path / "whole", recipe, note)
    run.train()
    assert losses[-1] < 0.8 * losses[0], losses

    half = trainer(tmp_path / "parts", recipe)
    half.state.epochs //= 2
    half.train()
    rest = trainer(tmp_path / "parts", recipe)
    assert rest.state.step == half.state.step < run.state.step
    rest.train()
    wanted = run.task.variables()
    assert any(name.startswith("features") for name in wanted)
    for name, variable in rest.task.variables().items():
        np.testing.assert_allclose(variable, wanted[name], atol=1e-5, err_msg=name)


def test_a_student_comes_near_its_teacher_without_a_mask(
    trainer, tiny_recipe, tiny_root, teacher, tmp_path
):
    recipe = tiny_recipe(
        distill={"teacher": teacher, "weight": 1e3},
        loss={"threshold": 1e-6, "min_kept": 1e-6},
        optimizer={"name": "adamw", "learning_rate": 0.01, "ema": None},
        train={"epochs": 30, "validate_every": 30},
    )
    run = trainer(tmp_path / "run", recipe)
    (source,) = run.task.sources
    frames = np.stack([source.read(pair)[0] for pair in source.pairs])[:, :32, :64]
    wanted = keras.saving.load_model(teacher)(frames)

    def distance() -> float:
        run.task.sync_eval_model()
        return float(np.mean(KLDivergence()([run.task.eval_model(frames), wanted])))

    before = distance()
    run.train()
    assert distance() < before / 2


@pytest.mark.usefixtures("eager")
def test_averages_of_a_student_are_those_of_its_own_weights(
    trainer, tiny_recipe, teacher, tmp_path
):
    recipe = tiny_recipe(distill={"teacher": teacher}, optimizer={"ema": 0.5})
    run = trainer(tmp_path / "run", recipe)
    run.train()
    averages = {
        v.path.partition("/")[2].replace("_average", ""): v for v in run.task.optimizer.variables
    }
    run.task.sync_eval_model()
    for deployed in run.task.eval_model.trainable_variables:
        np.testing.assert_array_equal(deployed, averages[deployed.path.replace("/", "_")])


@pytest.mark.usefixtures("eager")
def test_a_teacher_never_changes_and_is_in_no_checkpoint(trainer, tiny_recipe, teacher, tmp_path):
    recipe = tiny_recipe(distill={"teacher": teacher})
    run = trainer(tmp_path / "run", recipe)
    model, network = run.task.model, run.task.network
    frozen = [v for v in model.variables if all(v is not w for w in network.variables)]
    before = [np.array(v) for v in frozen]
    run.train()
    assert frozen
    for variable, value in zip(frozen, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    alone = trainer(tmp_path / "alone", tiny_recipe())
    stored = {name: array.shape for name, array in run.run.latest().arrays.items()}
    assert stored == {name: tuple(v.shape) for name, v in alone.task.variables().items()}
    assert asap_tf.load(tmp_path / "run").metadata["recipe"]["distill"]["teacher"] == teacher


@pytest.mark.usefixtures("eager")
def test_frames_without_masks_are_learned_from(trainer, tiny_recipe, tiny_root, teacher, tmp_path):
    recipe = tiny_recipe(
        distill={"teacher": teacher, "frames": [str(tiny_root / "val")]}, train={"epochs": 1}
    )
    run = trainer(tmp_path / "run", recipe)
    (source,) = run.task.sources
    assert [p.mask for p in source.pairs].count(None) == 2 and len(source.pairs) == 7
    frame, mask = source.read(source.pairs[-1])
    assert frame.shape == (48, 64, 3) and mask.shape == (48, 64) and (mask == 255).all()
    assert run.task.steps_per_epoch == 3
    run.train()
    assert check_data(recipe)[0].counts[UNLABELED] == 2


def test_what_cannot_teach(trainer, tiny_recipe, tmp_path):
    def fails(teacher, error, **fields):
        recipe = tiny_recipe(distill={"teacher": str(teacher), **fields})
        with pytest.raises(error[0], match=error[1]):
            trainer(tmp_path / "run", recipe)

    fails(tmp_path / "none.keras", (UsageError, "no such model"))
    (tmp_path / "none.keras").write_bytes(b"none")
    fails(tmp_path / "none.keras", (AsapError, "cannot be opened as a Keras model"))
    classes = [LabelClass(f"c{i}", (i, 0, 0), "x", i) for i in range(3)]
    save_model(Tiny(3, (None, None, 3)), tmp_path / "three.keras", classes, None)
    fails(tmp_path / "three.keras", (UsageError, "3 classes"))
    fails(tmp_path / "three.keras", (UsageError, "no images in .*nowhere"), frames=["nowhere"])
    classes = asap_tf.open_dataset(tiny_recipe().data[0].root).classes
    small = Tiny(11, (None, None, 3))
    plain = keras.Model(small.inputs, small.output)
    save_model(plain, tmp_path / "other.keras", classes, None)
    error = (UsageError, "has no maps of its backbone at the strides")
    fails(tmp_path / "other.keras", error, features=1)
