"""DFANet A: one small backbone three times, each refining what the last one found (its Fig. 3)."""

from __future__ import annotations

from pathlib import Path

from keras import layers

from asap_tf.layers import SegmentationModel
from asap_tf.layers.blocks import batch_norm, conv, conv_block
from asap_tf.layers.resize import ResizeLike, Upsample
from asap_tf.layers.tensor import Tensor
from asap_tf.models.interface import input_frames, normalize, segmentation_model
from asap_tf.models.registry import register

# Modified Xception A: channels and blocks of the stages enc2, enc3 and enc4.
STAGES = ((48, 4), (96, 6), (192, 4))


@register("dfanet_a")
def DFANetA(
    num_classes: int = 19,
    input_shape: tuple[int | None, int | None, int] = (512, 1024, 3),
    weights: str | Path | None = None,
    aux_heads: bool = False,
) -> SegmentationModel:
    """Builds DFANet A as a functional Keras model.

    Read as follows where the paper is silent. Blocks are Xception's (ReLU before every separable
    convolution, BatchNorm after it, a shortcut), strided in their first convolution, as the
    1.6 GFLOPs that it prints for the backbone require. The attention ends in a sigmoid. The
    decoder has 32 channels, 1 x 1 convolutions to reduce and one of 3 x 3 to fuse, the reading
    that agrees with its 3.4 GFLOPs. Trained here like ASAP, its fully-connected layers included.

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
        >>> DFANetA(19, (1024, 1024, 3)).output_shape
        (None, 1024, 1024, 19)

    Source: Li, Xiong, Fan, Sun, "DFANet: Deep Feature Aggregation for Real-Time Semantic
    Segmentation", CVPR 2019, Table 1 and Fig. 3.

    Size: 3.42 G multiply-accumulates at 1024 x 1024 and 1.71 G at 512 x 1024, where the paper
    prints 3.4 and 1.7 GFLOPs; 1.81 M parameters, both of convolutions. The "7.8 M" parameters that
    are quoted for it read like megabytes of float32, as the "26.5 M" of `ICNet` do: this network
    has 7.2, and 7.4 with BatchNorm's four values to a channel.
    """
    frames = input_frames(num_classes, input_shape)
    x = conv(normalize(frames), 8, 3, 2, "backbone1_conv1")
    x = layers.ReLU(name="backbone1_conv1_relu")(batch_norm("backbone1_conv1_bn")(x))

    first, attended1 = backbone(x, [], "backbone1")
    second, attended2 = refine(attended1, first, "backbone2")
    third, attended3 = refine(attended2, second, "backbone3")

    x = decoder([first[0], second[0], third[0]], [attended1, attended2, attended3])
    x = layers.Conv2D(num_classes, 1, dtype="float32", name="logits_classes")(x)
    logits = Upsample(4, dtype="float32", name="logits")(x)
    return segmentation_model(
        "dfanet_a", frames, logits, {16: attended1, 32: attended2}, aux_heads, weights
    )


def refine(attended: Tensor, before: list[Tensor], name: str) -> tuple[list[Tensor], Tensor]:
    """A further backbone: sub-network aggregation puts the last one's result before its enc2."""
    enlarged = ResizeLike(name=f"{name}_enlarge")([attended, before[0]])
    return backbone(enlarged, before, name)


def backbone(x: Tensor, before: list[Tensor], name: str) -> tuple[list[Tensor], Tensor]:
    """Modified Xception A.

    Args:
        x: What goes into enc2.
        before: Maps of the backbone before this one, or none. Sub-stage aggregation joins each
            to what goes into the stage of its size, which is the same stage.
        name: Prefix of the layers.

    Returns:
        The maps after enc2, enc3 and enc4, each half the size of what went in; and the last
        after the attention.
    """
    maps: list[Tensor] = []
    for i, (filters, blocks) in enumerate(STAGES):
        stage = f"{name}_enc{i + 2}"
        if before:
            x = layers.Concatenate(name=f"{stage}_join")([x, before[i]])
        for block in range(1, blocks + 1):
            x = xception_block(x, filters, 2 if block == 1 else 1, f"{stage}_{block}")
        maps.append(x)
    return maps, fc_attention(x, f"{name}_attention")


def xception_block(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """Three separable convolutions, the first two with a quarter of the channels, and a shortcut.

    The shortcut is a strided 1 x 1 where the size changes.
    """
    shortcut = x
    if stride > 1:
        shortcut = batch_norm(f"{name}_skip_bn")(conv(x, filters, 1, stride, f"{name}_skip"))
    x = relu_separable(x, filters // 4, stride, f"{name}_conv1")
    x = relu_separable(x, filters // 4, 1, f"{name}_conv2")
    x = relu_separable(x, filters, 1, f"{name}_conv3")
    return layers.Add(name=f"{name}_add")([x, shortcut])


def relu_separable(x: Tensor, filters: int, stride: int, name: str) -> Tensor:
    """ReLU, 3 x 3 on each channel, 1 x 1 over all of them, BatchNorm."""
    x = layers.ReLU(name=f"{name}_relu")(x)
    padding = "same"
    if stride > 1:
        # "same" would pad on the right and bottom only.
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.DepthwiseConv2D(3, stride, padding, use_bias=False, name=f"{name}_depthwise")(x)
    return batch_norm(f"{name}_bn")(conv(x, filters, 1, 1, f"{name}_pointwise"))


def fc_attention(x: Tensor, name: str) -> Tensor:
    """ImageNet's classifier of 1000 and a 1 x 1 back from it, which scale the channels."""
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(x)
    gate = layers.Conv2D(1000, 1, name=f"{name}_fc")(gate)
    gate = layers.Conv2D(x.shape[-1], 1, name=f"{name}_conv")(gate)
    # Without a bound the three in a row raise unusual frames to the eighth power.
    gate = layers.Activation("sigmoid", name=f"{name}_sigmoid")(gate)
    return layers.Multiply(name=f"{name}_scale")([x, gate])


def decoder(shallow: list[Tensor], deep: list[Tensor]) -> Tensor:
    """32 channels at stride 4: the three enc2 maps fused, the three attended ones added."""
    fused = layers.Add(name="decoder_shallow")(
        [reduced(x, shallow[0], f"decoder_shallow{i}") for i, x in enumerate(shallow, 1)]
    )
    fused = conv_block(fused, 32, 3, "decoder_fusion")
    levels = [reduced(x, fused, f"decoder_deep{i}") for i, x in enumerate(deep, 1)]
    return layers.Add(name="decoder_deep")([fused, *levels])


def reduced(x: Tensor, like: Tensor, name: str) -> Tensor:
    """Conv Block of 1 x 1 to 32 channels, enlarged to the size of another map."""
    x = conv_block(x, 32, 1, name)
    return ResizeLike(name=f"{name}_enlarge")([x, like])
