"""The report as HTML: figures, curves, classes, confusions, frames, recipe."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from asap_tf.core.files import written_whole
from asap_tf.core.labels import LabelClass
from asap_tf.inference.visualize import colorize, error_map
from asap_tf.training.report.charts import Point, line_chart, number
from asap_tf.training.report.style import CSS

if TYPE_CHECKING:
    from asap_tf.inference.evaluate import Evaluation

_MAX_PICTURE_WIDTH = 640
_MAX_MATRIX_CLASSES = 40


@dataclass(frozen=True, eq=False)
class Example:
    """One frame of the report.

    Attributes:
        caption: For instance `"Best: aachen_000001_000019"`.
        frame: uint8 `(H, W, 3)`, RGB.
        truth: Train ids, uint8 `(H, W)`, 255 where ignored.
        prediction: Train ids, uint8 `(H, W)`.
        miou: mIoU of this frame alone, 0..1.
    """

    caption: str
    frame: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray
    miou: float


def write_report(
    path: Path,
    title: str,
    log: Sequence[Mapping[str, float]],
    evaluation: Evaluation,
    recipe_text: str,
    classes: Sequence[LabelClass],
    examples: Sequence[Example],
    extra: Mapping[str, object],
    further: Mapping[str, Evaluation] = MappingProxyType({}),
) -> None:
    """Writes the report of a run as one HTML file without scripts or references to other files.

    Args:
        path: The file to write; it appears only once it is complete.
        title: Heading of the page.
        log: Lines of the training log. Used are `step` with `loss`, `learning_rate` and
            `val_miou` (0..1), each where present and finite; of lines with the same step the
            last counts. Empty for a report without curves.
        evaluation: Matrix and scores of the split that was looked at.
        recipe_text: The recipe as resolved; empty to leave it out.
        classes: In the order of their train ids.
        examples: Frames to show, in this order; pictures are scaled down to 640 pixels of width.
        extra: More headline figures by label, for instance `{"training time": "39 min"}`.
        further: Evaluations on other datasets by name; the log has `val_NAME_miou` of each.

    Raises:
        AsapError: if the file cannot be written.
    """
    body = [
        f"<h1>{escape(title)}</h1>",
        _headline(evaluation, extra),
        _curves(log, further),
        _bars(evaluation, classes),
        _confusions(evaluation.matrix, classes),
        *(_further(name, other) for name, other in further.items()),
        _frames(examples, classes),
    ]
    if recipe_text:
        body.append(f"<details><summary>Recipe</summary><pre>{escape(recipe_text)}</pre></details>")
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Makes browsers refuse whatever is not inside this file.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(filter(None, body))
        + "\n</body>\n</html>\n"
    )
    with written_whole(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _headline(evaluation: Evaluation, extra: Mapping[str, object]) -> str:
    scores = evaluation.scores
    figures: dict[str, object] = {
        "mIoU": _percent(scores.miou),
        "Pixel accuracy": _percent(scores.pixel_accuracy),
        "Category mIoU": _percent(scores.category_miou),
        **extra,
    }
    tiles = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(_text(value))}</dd></div>"
        for label, value in figures.items()
    )
    return (
        f'<dl class="tiles">{tiles}</dl>'
        "<p>IoU, intersection over union, is the share of pixels that truth and prediction agree "
        "on among all that either of them gives to a class; mIoU is its mean over the classes.</p>"
    )


def _curves(log: Sequence[Mapping[str, float]], further: Iterable[str]) -> str:
    figures = []
    if loss := _series(log, "loss"):
        smooth = max(0.0, 1 - 40 / len(loss))
        figures.append(("Loss", f"last {loss[-1][1]:.3g}", line_chart(loss, "loss", smooth)))
    series = {"Validation mIoU": "val_miou"}
    series |= {f"Validation mIoU, {escape(name)}": f"val_{name}_miou" for name in further}
    for title, key in series.items():
        miou = [(step, 100 * value) for step, value in _series(log, key)]
        if not miou:
            continue
        note = f"best {max(value for _, value in miou):.1f} %"
        figures.append((title, note, line_chart(miou, "mIoU, %", markers=True)))
    if rate := _series(log, "learning_rate"):
        note = f"highest {max(value for _, value in rate):.3g}"
        figures.append(("Learning rate", note, line_chart(rate, "learning rate")))
    if not figures:
        return ""
    shown = "".join(
        f"<figure><figcaption>{name}<span>{note}</span></figcaption>{chart}</figure>"
        for name, note, chart in figures
    )
    return f'<h2>Training</h2><div class="curves">{shown}</div>'


def _series(log: Sequence[Mapping[str, float]], key: str) -> list[Point]:
    points = {line["step"]: line[key] for line in log if line.get(key) is not None}
    return sorted((step, value) for step, value in points.items() if math.isfinite(value))


def _bars(evaluation: Evaluation, classes: Sequence[LabelClass]) -> str:
    scores = evaluation.scores
    pixels = evaluation.matrix.sum(axis=1)
    share = pixels / max(1, pixels.sum())
    # Absent classes have no IoU: they come last.
    order = np.argsort(-scores.iou, kind="stable")
    rows = [
        f'<tr><th scope="row">{_name(classes[i])}</th>{_bar(scores.iou[i], classes[i].color)}'
        f'<td class="optional">{_percent(scores.accuracy[i])}</td>'
        f'<td class="optional">{_percent(share[i])}</td></tr>'
        for i in order
    ]
    if 1 < len(scores.category_iou) < len(classes):
        first = {item.category: item.color for item in reversed(classes)}
        rows.append(
            '<tr><th class="group" colspan="5">Categories, as if each were one class</th></tr>'
        )
        rows += [
            f'<tr><th scope="row">{escape(name)}</th>{_bar(iou, first[name])}</tr>'
            for name, iou in scores.category_iou.items()
        ]
    return (
        "<h2>Classes</h2><p>Recall is the share of a class's pixels that were found; the last "
        "column says how much of the labeled area the class covers.</p>"
        '<div class="scroll"><table class="bars"><thead><tr><th>Class</th><th></th>'
        '<th class="number">IoU</th><th class="number optional">Recall</th>'
        '<th class="number optional">Pixels</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _further(name: str, evaluation: Evaluation) -> str:
    """Scores on another dataset, whose classes may be other ones."""
    compared = "; ".join(
        f"{escape(own)}: {escape(', '.join(names))}"
        for own, names in evaluation.table.names().items()
    )
    return (
        f"<h2>{escape(name)}: {_percent(evaluation.scores.miou)} mIoU</h2>"
        f"{_bars(evaluation, evaluation.table.classes)}"
        f"<p>Its classes are the network's as follows. {compared}.</p>"
    )


def _bar(value: float, color: tuple[int, int, int]) -> str:
    filled = "" if math.isnan(value) else f'<i style="width:{value:.1%};{_background(color)}"></i>'
    return f'<td class="bar"><div>{filled}</div></td><td>{_percent(value)}</td>'


def _confusions(matrix: np.ndarray, classes: Sequence[LabelClass]) -> str:
    pixels = matrix.sum(axis=1)
    # A table of hundreds of classes would be neither readable nor small.
    shown = sorted(np.argsort(-pixels, kind="stable")[:_MAX_MATRIX_CLASSES].tolist())
    share = matrix / np.maximum(1, pixels)[:, None]
    heads = "".join(f'<th scope="col">{_name(classes[i])}</th>' for i in shown)
    rows = []
    for true in shown:
        cells = "".join(
            _heat_cell(share[true, found], true == found, classes[true], classes[found])
            for found in shown
        )
        label = f"{escape(classes[true].name)}{_swatch(classes[true])}"
        rows.append(f'<tr><th scope="row">{label}</th>{cells}</tr>')
    note = "" if len(shown) == len(classes) else f" Shown: the {len(shown)} commonest classes."
    return (
        "<h2>Confusions</h2><p>Each row is a true class and says, in percent of its pixels, what "
        f"they were taken for. A perfect model has 100 on the diagonal.{note}</p>"
        f'<div class="scroll"><table class="heat"><thead><tr><th>truth \\ prediction</th>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat_cell(share: float, correct: bool, true: LabelClass, found: LabelClass) -> str:
    tip = escape(f"{true.name} taken for {found.name}: {share:.2%}")
    if share < 0.005:
        return f'<td title="{tip}"></td>'
    # The square root lets small confusions show.
    strength = math.sqrt(share)
    style = ("right" if correct else "wrong") + (" strong" if strength > 0.6 else "")
    return f'<td class="{style}" style="--v:{strength:.2f}" title="{tip}">{100 * share:.0f}</td>'


def _frames(examples: Sequence[Example], classes: Sequence[LabelClass]) -> str:
    if not examples:
        return ""
    palette = np.array([item.color for item in classes], np.uint8)
    legend = "".join(f"<li>{_name(item)}</li>" for item in classes)
    shown = "".join(
        f"<h3>{escape(item.caption)}<b>{_percent(item.miou)} mIoU</b></h3>"
        f'<div class="example">{"".join(_pictures(item, palette))}</div>'
        for item in examples
    )
    return (
        "<h2>Frames</h2><p>Errors are red; unlabeled pixels, black in the truth and dark among "
        f'the errors, are not scored.</p><ul class="legend">{legend}</ul>{shown}'
    )


def _pictures(example: Example, palette: np.ndarray) -> Iterable[str]:
    frame = Image.fromarray(example.frame)
    scale = min(1.0, _MAX_PICTURE_WIDTH / frame.width)
    size = (round(frame.width * scale), max(1, round(frame.height * scale)))
    small = np.asarray(frame.resize(size, Image.Resampling.LANCZOS))
    truth, prediction = (
        np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        for labels in (example.truth, example.prediction)
    )
    for name, picture, kind in (
        ("Frame", small, "jpeg"),
        ("Errors", error_map(small, truth, prediction), "jpeg"),
        ("Truth", colorize(truth, palette), "png"),
        ("Prediction", colorize(prediction, palette), "png"),
    ):
        buffer = io.BytesIO()
        # A color map with its few colors is smaller, and sharp, as PNG.
        Image.fromarray(picture).save(buffer, kind, quality=85, optimize=True)
        data = base64.b64encode(buffer.getvalue()).decode()
        alt = escape(f"{name}: {example.caption}")
        yield (
            f'<figure><img alt="{alt}" width="{size[0]}" height="{size[1]}" '
            f'src="data:image/{kind};base64,{data}"><figcaption>{name}</figcaption></figure>'
        )


def _name(item: LabelClass) -> str:
    return f"{_swatch(item)}{escape(item.name)}"


def _swatch(item: LabelClass) -> str:
    return f'<span class="swatch" style="{_background(item.color)}"></span>'


def _background(color: tuple[int, int, int]) -> str:
    return "background:rgb({} {} {})".format(*map(int, color))


def _percent(value: float) -> str:
    return "–" if math.isnan(value) else f"{100 * value:.1f} %"


def _text(value: object) -> str:
    return number(value) if isinstance(value, int | float) else str(value)
