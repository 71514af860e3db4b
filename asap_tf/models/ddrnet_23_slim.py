"""DDRNet-23-slim: two resolutions side by side."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import conv_bn
from asap_tf.layers.resize import ResizeLike, Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.blocks import bn_relu, bottleneck, pyramid_pooling, relu, stage, stem
from asap_tf.models.interface import head, input_frames, normalize, segmentation_model
from asap_tf.models.registry import register


@register("ddrnet_23_slim")
def DDRNet23Slim(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds DDRNet-23-slim, a dual-resolution network, as a functional Keras model.

    Trained here like ASAP, on the logits and two auxiliary heads of the low-resolution branch,
    without the publication's own extra head on the high-resolution branch.

    Args:
        num_classes: Number of classes.
        input_shape: `(H, W, 3)`, H and W multiples of 32 or None for any.
        weights: Initial weights: a run folder, a `.keras` file or a preset, from which every layer
            that fits is taken; None for random ones.
        aux_heads: Whether to add the two heads that only training needs.

    Returns:
        A model from RGB frames 0..255 `(N, H, W, 3)` to float32 logits `(N, H, W, num_classes)`;
        with `aux_heads` to a dict of three such tensors. See `ASAPNet`.

    Examples:
        >>> model = DDRNet23Slim(num_classes=19, input_shape=(512, 1024, 3))
        >>> model(np.zeros((1, 512, 1024, 3), "uint8")).shape
        TensorShape([1, 512, 1024, 19])

    Source: Pan, Hong, Sun and Jia, "Deep Dual-Resolution Networks for Real-Time and Accurate
    Semantic Segmentation of Traffic Scenes", IEEE T-ITS, 2023, section III; what it leaves open
    is as in the authors' code. At 512 x 1024 and 19 classes its convolutions have 5.68 M
    parameters and take 9.07 G multiply-accumulates.
    """
    frames = input_frames(num_classes, input_shape)
    x = stem(normalize(frames), 32)
    x = relu(stage(x, 32, 1, 2, "backbone_layer1"), "backbone_layer1")
    x = relu(stage(x, 64, 2, 2, "backbone_layer2"), "backbone_layer2")

    low = stage(x, 128, 2, 2, "backbone_layer3")
    high = stage(x, 64, 1, 2, "detail_layer3")
    p3, high = bilateral_fusion(low, high, (128,), "fusion_3")

    low = stage(p3, 256, 2, 2, "backbone_layer4")
    high = stage(high, 64, 1, 2, "detail_layer4")
    p4, high = bilateral_fusion(low, high, (128, 256), "fusion_4")

    high = bottleneck(high, 64, 1, "detail_layer5")
    low = bottleneck(p4, 256, 2, "backbone_layer5")
    context = pyramid_pooling(low, 128, 128, cascaded=True)
    fused = layers.Add(name="fusion_add")([high, ResizeLike(name="fusion_up")([context, high])])
    logits = head(bn_relu(fused, "logits"), num_classes, 8, "logits", filters=64)
    maps = {8: x, 16: p3, 32: p4}
    return segmentation_model("ddrnet_23_slim", frames, logits, maps, aux_heads, weights)


def bilateral_fusion(
    low: Tensor, high: Tensor, widths: tuple[int, ...], name: str
) -> tuple[Tensor, Tensor]:
    """What each branch learns from the other is added to it; both sums are rectified.

    Args:
        low: The low-resolution branch, not rectified.
        high: The high-resolution branch, not rectified.
        widths: Channels after each halving of `high` on its way to `low`.
        name: Prefix of the layers.
    """
    down = high
    for i, filters in enumerate(widths, 1):
        down = conv_bn(relu(down, f"{name}_down{i}"), filters, 3, 2, f"{name}_down{i}")
    up = conv_bn(relu(low, f"{name}_up"), high.shape[-1], 1, 1, f"{name}_up")
    up = Upsample(2 ** len(widths), name=f"{name}_up")(up)
    low = layers.Add(name=f"{name}_low_add")([low, down])
    high = layers.Add(name=f"{name}_high_add")([high, up])
    return relu(low, f"{name}_low"), relu(high, f"{name}_high")
