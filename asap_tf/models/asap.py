"""ASAP: the paper's network on one screen (Fig. 1)."""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers

from asap_tf.errors import UsageError, nearest
from asap_tf.layers import FFDN, SimplePyramid, StripAttention
from asap_tf.layers.blocks import Tensor, Upsample, conv_block, resample
from asap_tf.models.backbones import BACKBONES
from asap_tf.models.weights import load_weights

FUSIONS = ("ffdn", "general", "ln", "in", "none")
ATTENTIONS = ("vertical", "horizontal", "full", "none")
FUSE_STRIDES = (8, 4)

# ImageNet's statistics for RGB in 0..1, which every published ResNet18 was trained with.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def ASAPNet(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    backbone: str = "resnet18",
    weights: str | Path | None = None,
    fusion: str = "ffdn",
    attention: str = "vertical",
    fuse_stride: int = 8,
    aux_heads: bool = False,
) -> keras.Model:
    """Builds ASAP, a real-time semantic segmentation network, as a functional Keras model.

    Args:
        num_classes: Classes to tell apart.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        backbone: `"resnet18"`.
        weights: None, `"imagenet"` (backbone only, through keras-hub), a torchvision or timm
            ResNet18 file (`.pth`, `.safetensors`), or a run folder or `.keras` file, from which
            every layer that fits is taken.
        fusion: `"ffdn"` (the paper's), or the rows it is compared with: `"general"` (Table III),
            `"ln"`, `"in"`, `"none"` (Table II).
        attention: `"vertical"` (the paper's), or `"horizontal"`, `"full"`, `"none"` (Table III).
        fuse_stride: Stride at which levels are fused: 8, or 4 for finer maps at about three
            times the decoder's cost.
        aux_heads: Whether to add the two training heads.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)`, uint8 or float, to float32 logits
        `(N, H, W, num_classes)`. With `aux_heads`, to a dict of three such tensors: `"logits"`,
        `"aux3"` and `"aux4"`. Normalisation is inside.

    Raises:
        UsageError: (a ValueError) for an unknown option or a size that is no multiple of 32.
        AsapError: if the weights cannot be had.

    Example:
        >>> model = ASAPNet(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Source: paper, sections II and III; the widths it leaves out follow from its Table III.
    """
    check_options(num_classes, input_shape, backbone, fusion, attention, fuse_stride)

    frames = keras.Input(input_shape, name="frames")
    x = normalize(frames)
    p1, p2, p3, p4 = BACKBONES[backbone](x)

    levels = SimplePyramid(64, name="pyramid")([p1, p2, p3, p4])
    gathered = [
        resample(level, stride, fuse_stride, f"gather{i}")
        for i, (level, stride) in enumerate(zip(levels, (4, 8, 16, 32), strict=True), 1)
    ]
    x = layers.Concatenate(name="gather")(gathered)
    x = fuse(x, fusion)
    x = attend(x, attention)
    logits = head(x, num_classes, fuse_stride, "logits")

    outputs = logits
    if aux_heads:
        outputs = {
            "logits": logits,
            "aux3": head(p3, num_classes, 16, "aux3"),
            "aux4": head(p4, num_classes, 32, "aux4"),
        }
    model = keras.Model(frames, outputs, name="asap")
    if weights is not None:
        load_weights(model, weights)
    return model


def normalize(frames: Tensor) -> Tensor:
    """RGB 0..255 to ImageNet's zero mean and unit deviation, in float32 under every precision."""
    scale = [1 / (255 * d) for d in DEVIATION]
    offset = [-m / d for m, d in zip(MEAN, DEVIATION, strict=True)]
    return layers.Rescaling(scale, offset, dtype="float32", name="normalize")(frames)


def fuse(x: Tensor, fusion: str) -> Tensor:
    """256 gathered channels to 256 fused ones (Table II, and the upper half of Table III)."""
    if fusion == "general":
        x = conv_block(x, 256, 1, "fusion")
        gate = layers.GlobalAveragePooling2D(keepdims=True, name="fusion_pool")(x)
        gate = conv_block(gate, 256, 1, "fusion_gate", activation="sigmoid")
        return layers.Add(name="fusion")([x, layers.Multiply(name="fusion_scale")([x, gate])])
    norms = {"ffdn": "both", "ln": "layer", "in": "instance", "none": "none"}[fusion]
    return FFDN(256, norms, name="fusion")(x)


def attend(x: Tensor, attention: str) -> Tensor:
    """Self-attention with its skip connection (lower half of Table III)."""
    return x if attention == "none" else StripAttention(attention, name="attention")(x)


def head(x: Tensor, num_classes: int, stride: int, name: str) -> Tensor:
    """Conv Block, 1 x 1 to the classes, bilinear to the size of the frame; float32 logits."""
    x = conv_block(x, 64, 3, f"{name}_block")
    x = layers.Conv2D(num_classes, 1, dtype="float32", name=f"{name}_classes")(x)
    return Upsample(stride, dtype="float32", name=name)(x)


def check_options(
    num_classes: int,
    input_shape: tuple[int | None, int | None, int],
    backbone: str,
    fusion: str,
    attention: str,
    fuse_stride: int,
) -> None:
    """Refuses what the network cannot be built with; see `ASAPNet`."""
    if num_classes < 2:
        raise UsageError(f"num_classes must be at least 2. Received: num_classes={num_classes}")
    sizes = input_shape[:2]
    if len(input_shape) != 3 or input_shape[2] != 3 or any(s and s % 32 for s in sizes):
        raise UsageError(
            "input_shape must be (H, W, 3) with H and W multiples of 32 or None. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    for option, value, valid in (
        ("backbone", backbone, BACKBONES),
        ("fusion", fusion, FUSIONS),
        ("attention", attention, ATTENTIONS),
    ):
        if value not in valid:
            raise UsageError(f"unknown {option}={value!r}; {nearest(value, valid)}")
    if fuse_stride not in FUSE_STRIDES:
        raise UsageError(f"fuse_stride must be 8 or 4. Received: fuse_stride={fuse_stride}")
