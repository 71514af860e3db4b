"""ASAP, its loss and its training step in PyTorch: the yardstick of `benchmarks/training.py`.

    python benchmarks/asap_in_pytorch.py FOLDER

That script runs this one, in an environment that needs PyTorch 2 and NumPy and nothing else. FOLDER
holds what it has written: `settings.json`; `weights.npz` of the Keras network, by path; and, as
uint8 RGB frames `(N, H, W, 3)` and uint8 train ids `(N, H, W)`, a batch to train on, `batch.npz`,
and a small one with Keras's outputs and losses, `proof.npz`. The first line printed says how far
the outputs and losses here are from those; then every line read is a turn, answered by the seconds
that a step of each row took. All lines are JSON.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
IGNORE_LABEL = 255

NORM_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
CONV_NAMES = {"weight": "kernel", "bias": "bias"}


def conv(inputs: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, filters, kernel, stride, kernel // 2, bias=False)


def enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, filters: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, filters, 3, stride), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = conv(filters, filters, 3), nn.BatchNorm2d(filters)
        self.downsample = nn.Sequential()
        if stride > 1:
            self.downsample.extend([conv(inputs, filters, 1, stride), nn.BatchNorm2d(filters)])

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 7, 2), nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        p1 = self.layer1(x)
        p2 = self.layer2(p1)
        p3 = self.layer3(p2)
        return [p1, p2, p3, self.layer4(p3)]


class SimplePyramid(nn.Module):
    """Laterals to 64 channels, added from the top down, gathered at stride 8."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral1, self.lateral2 = conv(64, 64, 1), conv(128, 64, 1)
        self.lateral3, self.lateral4 = conv(256, 64, 1), conv(512, 64, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        p4 = self.lateral4(maps[3])
        p3 = self.lateral3(maps[2]) + enlarged(p4, 2)
        p2 = self.lateral2(maps[1]) + enlarged(p3, 2)
        p1 = self.lateral1(maps[0]) + enlarged(p2, 2)
        return torch.cat([F.avg_pool2d(p1, 2), p2, enlarged(p3, 2), enlarged(p4, 4)], dim=1)


class FFDN(nn.Module):
    """The norm over C, H and W beside the one over H and W."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(256, 128, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return torch.cat([F.group_norm(x, 1), F.instance_norm(x)], dim=1).to(x.dtype)


class StripAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.query_bn = conv(256, 64, 1), nn.BatchNorm2d(64)
        self.key, self.key_bn = conv(256, 64, 1), nn.BatchNorm2d(64)
        self.value, self.value_bn = conv(256, 256, 1), nn.BatchNorm2d(256)

    def forward(self, x: Tensor) -> Tensor:
        strip = x.mean(dim=2, keepdim=True)
        query = self.query_bn(self.query(strip)).flatten(2)
        key = self.key_bn(self.key(strip)).flatten(2)
        value = self.value_bn(self.value(strip)).flatten(2)
        weights = (query.transpose(1, 2) @ key).float().softmax(dim=-1).to(value.dtype)
        return x + (value @ weights.transpose(1, 2)).unsqueeze(2)


class Head(nn.Module):
    """Convolution block, 1 x 1 to the classes in float32, bilinear to the size of the frame."""

    def __init__(self, inputs: int, classes: int, stride: int):
        super().__init__()
        self.block_conv, self.block_bn = conv(inputs, 64, 3), nn.BatchNorm2d(64)
        self.classes = nn.Conv2d(64, classes, 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.block_bn(self.block_conv(x)), inplace=True)
        with torch.autocast(x.device.type, enabled=False):
            # PyTorch enlarges few channels, and takes their softmax, far faster channels first.
            return enlarged(self.classes(x.float()).contiguous(), self.stride)


class ASAP(nn.Module):
    """From uint8 RGB frames `(N, H, W, 3)` to the float32 logits `(N, C, H, W)` of three heads."""

    def __init__(self, classes: int, layout: torch.memory_format):
        super().__init__()
        self.backbone = ResNet18()
        self.pyramid, self.fusion, self.attention = SimplePyramid(), FFDN(), StripAttention()
        self.logits = Head(256, classes, 8)
        self.aux3, self.aux4 = Head(256, classes, 16), Head(512, classes, 32)
        mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
        scale, offset = 1 / (255 * deviation), -mean / deviation
        self.register_buffer("scale", scale.view(3, 1, 1), persistent=False)
        self.register_buffer("offset", offset.view(3, 1, 1), persistent=False)
        self.layout = layout
        self.to(memory_format=layout)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        x = frames.permute(0, 3, 1, 2).float() * self.scale + self.offset
        maps = self.backbone(x.contiguous(memory_format=self.layout))
        fused = self.attention(self.fusion(self.pyramid(maps)))
        return {
            "logits": self.logits(fused),
            "aux3": self.aux3(maps[2]),
            "aux4": self.aux4(maps[3]),
        }

    @torch.no_grad()
    def load_keras(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes over the weights of the Keras network; each must have its place, and be there."""
        left = {path.replace("/", "_"): array for path, array in arrays.items()}
        state = self.state_dict()
        for name, tensor in state.items():
            module, _, variable = name.rpartition(".")
            if variable == "num_batches_tracked":
                continue
            names = NORM_NAMES if f"{module}.running_mean" in state else CONV_NAMES
            value = torch.from_numpy(left.pop(f"{module.replace('.', '_')}_{names[variable]}"))
            tensor.copy_(value.permute(3, 2, 0, 1) if value.ndim == 4 else value)
        if left:
            raise ValueError(f"weights without a place: {', '.join(left)}")


def ohem_cross_entropy(logits: Tensor, labels: Tensor, threshold: float, min_kept: float) -> Tensor:
    """By the rules of `asap_tf.OhemCrossEntropy`: logits `(N, C, H, W)`, labels `(N, H, W)`."""
    losses = F.cross_entropy(logits, labels, reduction="none", ignore_index=IGNORE_LABEL)
    with torch.no_grad():
        valid = labels != IGNORE_LABEL
        kept = math.ceil(min_kept * int(valid.sum()))
        share = (valid & (losses > -math.log(threshold))).float()
        if share.sum() < kept:
            edge = losses.flatten().topk(kept).values[-1]
            above = (losses > edge).float()
            tied = (valid & (losses == edge)).float()
            share = above + tied * (kept - above.sum()) / tied.sum()
    return (share * losses).sum() / share.sum().clamp(min=1)


class Training:
    """One row: the network in a precision and a layout, and its optimizer."""

    def __init__(self, settings: dict, weights: dict[str, np.ndarray], dtype: str, layout: str):
        self.settings = settings
        self.bfloat16 = dtype == "bfloat16"
        self.network = ASAP(settings["classes"], getattr(torch, layout))
        self.network.load_keras(weights)
        self.network.to(settings["device"])
        kernels = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]
        self.optimizer = torch.optim.SGD(
            [{"params": kernels, "weight_decay": settings["weight_decay"]}, {"params": others}],
            lr=settings["learning_rate"],
            momentum=settings["momentum"],
        )

    def step(self, frames: Tensor, labels: Tensor) -> None:
        """Forward, loss, backward, update."""
        self.network.train()
        device = self.settings["device"]
        with torch.autocast(device, torch.bfloat16, enabled=self.bfloat16):
            outputs = self.network(frames)
        labels = labels.long()
        rules = self.settings["threshold"], self.settings["min_kept"]
        loss = torch.zeros((), device=device)
        for head, factor in self.settings["loss_weights"].items():
            loss = loss + factor * ohem_cross_entropy(outputs[head], labels, *rules)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    @torch.no_grad()
    def differences(self, proof: dict[str, Tensor]) -> dict[str, float]:
        """Of outputs and losses from Keras's, relative to the largest of these."""
        with torch.backends.cudnn.flags(allow_tf32=False):
            outputs = self.network.eval()(proof["frames"])
        found = {
            head: off(x.permute(0, 2, 3, 1), proof[f"{head} output"]) for head, x in outputs.items()
        }
        logits = proof["logits output"].permute(0, 3, 1, 2)
        for threshold in self.settings["proof_thresholds"]:
            loss = ohem_cross_entropy(
                logits, proof["labels"].long(), threshold, self.settings["min_kept"]
            )
            title = f"loss at threshold {threshold:g}"
            found[title] = off(loss, proof[title])
        return found


def off(value: Tensor, expected: Tensor) -> float:
    return float((value - expected).abs().max() / expected.abs().max())


def read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


def tensors(path: Path, device: str) -> dict[str, Tensor]:
    return {key: torch.from_numpy(array).to(device) for key, array in read(path).items()}


def main() -> None:
    folder = Path(sys.argv[1])
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    torch.set_num_threads(settings["threads"])
    weights, batch = read(folder / "weights.npz"), tensors(folder / "batch.npz", settings["device"])
    rows = {
        title: Training(settings, weights, dtype, layout)
        for dtype, titles in settings["rows"].items()
        for title, layout in zip(titles, ("contiguous_format", "channels_last"), strict=True)
    }
    proven = Training(settings, weights, "float32", "contiguous_format")
    facts = {
        "version": torch.__version__,
        "device": torch.cuda.get_device_name() if settings["device"] == "cuda" else "CPU",
        "differences": proven.differences(tensors(folder / "proof.npz", settings["device"])),
    }
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        seconds = {}
        for title, training in rows.items():
            # The first step brings threads and caches back to this row.
            for _ in range(2):
                start = time.perf_counter()
                training.step(batch["frames"], batch["labels"])
                seconds[title] = time.perf_counter() - start
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
