"""What a finished run leaves behind for people: scores as JSON and a report to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asap_tf.core.errors import shown
from asap_tf.core.files import write_json
from asap_tf.data.dataset import Dataset
from asap_tf.data.images import read_pair
from asap_tf.inference.evaluate import Evaluation
from asap_tf.runtime import Segmenter, load
from asap_tf.training.callbacks import duration
from asap_tf.training.report import Example, write_report
from asap_tf.training.run_folder import RunFolder
from asap_tf.training.task import evaluate_all

SHOWN = 2
"""Frames in the report from the top, from the middle and from the bottom of the ranking."""


def write_results(run: RunFolder, datasets: Sequence[Dataset]) -> list[Evaluation]:
    """Scores `model.keras` on each validation split; writes `metrics.json` and `report.html`.

    Args:
        run: A run that has been validated at least once.
        datasets: Datasets of its recipe.

    Returns:
        The evaluations.
    """
    recipe = run.recipe
    segmenter = load(run.path)
    evaluations = evaluate_all(segmenter, recipe, datasets)
    metrics = [
        {**evaluation.to_dict(), "split": data.val_split, "frames": evaluation.num_frames}
        for data, evaluation in zip(recipe.data, evaluations, strict=True)
    ]
    named = dict(zip(recipe.dataset_names[1:], evaluations[1:], strict=True))
    further = {"datasets": dict(zip(named, metrics[1:], strict=True))} if named else {}
    step = segmenter.metadata["step"]
    log = run.read_log()
    minutes = sum(entry.get("seconds", 0.0) for entry in log) / 60
    write_json(
        run.metrics,
        {
            **metrics[0],
            "step": step,
            "training_minutes": round(minutes, 1),
            **further,
        },
        durable=True,
    )
    write_report(
        run.report,
        recipe.name,
        log,
        evaluations[0],
        recipe.to_yaml(),
        datasets[0].classes,
        examples(segmenter, datasets[0], evaluations[0]),
        {
            "training time": duration(60 * minutes),
            "best step": f"{step:,}",
            "parameters": f"{segmenter.metadata['parameters'] / 1e6:.1f} M",
            "validation frames": evaluations[0].num_frames,
        },
        named,
    )
    return evaluations


def examples(segmenter: Segmenter, dataset: Dataset, evaluation: Evaluation) -> list[Example]:
    """The best, median and worst frames of an evaluation, with their predictions."""
    ranked = evaluation.ranked()
    middle = max(0, len(ranked) // 2 - SHOWN // 2)
    chosen = {
        "best": ranked[:SHOWN],
        "median": ranked[middle : middle + SHOWN],
        "worst": ranked[-SHOWN:],
    }
    result = []
    for place, frames in chosen.items():
        for score in frames:
            frame, truth = read_pair(score.pair, dataset.encoding)
            prediction = segmenter.predict(frame[np.newaxis])[0]
            caption = f"{place}: {shown(score.pair.image.name)}"
            result.append(Example(caption, frame, truth, prediction, score.miou))
    return result
