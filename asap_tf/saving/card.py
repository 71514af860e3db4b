"""A model card, from what a model's file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

FORM = """\
---
{front}---

# {name}

{what}

    pip install asap-tf
    asap-tf predict {file} photo.jpg

```python
import asap_tf

labels = asap_tf.load("{file}").predict(frames)  # uint8 (N, H, W, 3) RGB -> uint8 (N, H, W)
```

## Data and terms

<!-- What was it trained on, and whose terms does it share? The file does not say. -->

## Scores

{scores}

## Known failures

<!-- Where is it wrong, and what is it not meant for? -->

## How it was made

{made}
"""


def model_card(info: Mapping[str, Any], file: str, name: str) -> str:
    """The card of a model, as Markdown with the Hugging Face Hub's front matter.

    What a file cannot know, data and failures, is left to be filled in, in comments.

    Args:
        info: Metadata of the model, as `asap-tf info` shows it.
        file: What a user gives to `asap_tf.load`.
        name: Name of the model.

    Examples:
        >>> print(model_card(segmenter.metadata, "model.keras", "streets"))
    """
    scores, recipe = info.get("scores"), info.get("recipe", {})
    front: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "image-segmentation",
        "tags": ["asap-tf", "semantic-segmentation", "real-time", "street-scenes"],
    }
    network = recipe.get("model", {}).get("name", "A network")
    names = ", ".join(entry["name"] for entry in info.get("classes", ()))
    what = [f"{network}, for the classes {names or 'that it was trained on'}."]
    if "parameters" in info:
        what.append(f"{info['parameters'] / 1e6:.1f} million parameters.")
    if size := info.get("size"):
        sides = f"a longer side of {size}" if isinstance(size, int) else " x ".join(map(str, size))
        what.append(f"Frames are brought to {sides} pixels.")
    if info.get("temperature"):
        what.append(f"Confidences are calibrated, by a temperature of {info['temperature']:.3f}.")
    lines = ["Not scored."]
    if scores and scores.get("miou") is not None:
        miou = round(100 * scores["miou"], 1)
        front["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "image-segmentation"},
                        "dataset": {"name": "its validation split", "type": "segmentation"},
                        "metrics": [{"type": "mean_iou", "value": miou}],
                    }
                ],
            }
        ]
        lines = [f"{miou} mIoU on its validation split.", "", "| class | IoU |", "| --- | ---: |"]
        for label, value in scores.get("iou", {}).items():
            lines.append(f"| {label} | {'' if value is None else format(100 * value, '.1f')} |")
    versions = ", ".join(f"{k} {v}" for k, v in info.get("versions", {}).items())
    made = [f"Step {info['step']:,} of this recipe." if "step" in info else "", versions, ""]
    if recipe:
        made += ["```yaml", yaml.safe_dump(recipe, sort_keys=False).rstrip(), "```"]
    return FORM.format(
        front=yaml.safe_dump(front, sort_keys=False),
        name=name,
        what=" ".join(what),
        file=file,
        scores="\n".join(lines),
        made="\n".join(made).strip(),
    )
