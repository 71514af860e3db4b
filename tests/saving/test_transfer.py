from __future__ import annotations

import hashlib

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from asap_tf import ASAPNet
from asap_tf.core.errors import AsapError
from asap_tf.core.labels import LabelClass
from asap_tf.models.backbones import resnet18, resnet18_vd
from asap_tf.saving import imagenet, save_model
from asap_tf.saving import transfer as weights
from asap_tf.saving.imagenet import RESNET18, SHA256, keras_hub_tensors


def keras_hubs(**options):
    """A ResNet18 of keras-hub with random weights and statistics: the independent twin."""
    import keras_hub

    backbone = keras_hub.models.ResNetBackbone(
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=[2, 2, 2, 2],
        stackwise_num_strides=[1, 2, 2, 2],
        **options,
    )
    rng = np.random.default_rng(0)
    for layer in backbone.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    return backbone


@pytest.fixture(scope="module")
def hub():
    return keras_hubs(
        input_conv_filters=[64], input_conv_kernel_sizes=[7], block_type="basic_block"
    )


@pytest.fixture(scope="module")
def hub_vd():
    return keras_hubs(
        input_conv_filters=[32, 32, 64],
        input_conv_kernel_sizes=[3, 3, 3],
        block_type="basic_block_vd",
    )


@pytest.mark.parametrize(
    ("backbone", "twin", "count"), [(resnet18, "hub", 40), (resnet18_vd, "hub_vd", 46)]
)
def test_pyramid_equals_keras_hubs(backbone, twin, count, request):
    hub = request.getfixturevalue(twin)
    inputs = keras.Input((64, 96, 3))
    ours = keras.Model(inputs, backbone(inputs))
    transfer = weights.load_torch_names(ours, keras_hub_tensors(hub), "keras-hub")
    assert len(transfer.loaded) == count and not transfer.fresh
    theirs = keras.Model(hub.inputs, [hub.pyramid_outputs[f"P{i}"] for i in range(2, 6)])
    x = np.random.default_rng(1).normal(size=(2, 64, 96, 3)).astype("float32")
    for one, other in zip(ours(x), theirs([x]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)


def test_vds_imagenet_goes_through_keras_hub(hub_vd, monkeypatch):
    import keras_hub

    presets = {"resnet_vd_18_imagenet": hub_vd}
    monkeypatch.setattr(keras_hub.models.Backbone, "from_preset", presets.__getitem__)
    model = ASAPNet(3, (64, 64, 3), "resnet18_vd", weights="imagenet")
    np.testing.assert_array_equal(
        model.get_layer("backbone_conv1").get_weights()[0],
        hub_vd.get_layer("conv1_conv").get_weights()[0],
    )
    presets.clear()
    with pytest.raises(AsapError, match=r"Either let this machine reach.*or take `backbone`="):
        ASAPNet(3, (64, 64, 3), "resnet18_vd", weights="imagenet")


def test_a_preset_of_keras_hub(hub_vd, tmp_path, monkeypatch):
    hub_vd.save_to_preset(str(tmp_path / "preset"))
    monkeypatch.setattr(imagenet, "RESNET18_VD", str(tmp_path / "preset"))
    tensors = imagenet.imagenet_tensors("resnet18_vd")
    for name, array in keras_hub_tensors(hub_vd).items():
        np.testing.assert_array_equal(tensors[name], array)


def test_imagenet_is_downloaded_once_and_held_against_its_hash(hub, tmp_path, monkeypatch):
    tensors = {k: np.ascontiguousarray(v) for k, v in keras_hub_tensors(hub).items()}
    published = tmp_path / "resnet18.safetensors"
    save_file(tensors, published)
    (tmp_path / "cache").mkdir()
    home = "keras.src.utils.file_utils.config.keras_home"
    monkeypatch.setattr(home, lambda: str(tmp_path / "cache"))
    monkeypatch.setattr(imagenet, "RESNET18", published.as_uri())
    with pytest.raises(AsapError, match=r"hash does not match.*Either let this machine reach"):
        ASAPNet(3, (64, 64, 3), weights="imagenet")
    monkeypatch.setattr(imagenet, "SHA256", hashlib.sha256(published.read_bytes()).hexdigest())
    for _ in range(2):
        model = ASAPNet(3, (64, 64, 3), weights="imagenet")
        kernel = model.get_layer("backbone_conv1").get_weights()[0]
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), tensors["conv1.weight"])
        published.unlink(missing_ok=True)
    (cached,) = (tmp_path / "cache").rglob("*.safetensors")
    cached.write_bytes(b"tampered with")
    with pytest.raises(AsapError, match="or download torchvision's or timm's ResNet18 elsewhere"):
        ASAPNet(3, (64, 64, 3), weights="imagenet")
    assert RESNET18.startswith("https://") and SHA256.startswith(RESNET18[-12:-4])


def test_safetensors_file_of_torchvision_layout(hub, tmp_path):
    tensors = {k: np.ascontiguousarray(v) for k, v in keras_hub_tensors(hub).items()}
    tensors["bn1.num_batches_tracked"] = np.array(7)
    tensors["fc.weight"] = np.zeros((1000, 512), "float32")
    save_file(tensors, tmp_path / "resnet18.safetensors")
    model = ASAPNet(3, (64, 64, 3), weights=tmp_path / "resnet18.safetensors")
    kernel = model.get_layer("backbone_layer2_0_downsample_0").get_weights()[0]
    np.testing.assert_array_equal(
        kernel.transpose(3, 2, 0, 1), tensors["layer2.0.downsample.0.weight"]
    )


def test_another_network_is_refused_by_layer(tmp_path):
    save_file({"conv1.weight": np.zeros((32, 3, 3, 3), "float32")}, tmp_path / "x.safetensors")
    with pytest.raises(AsapError, match=r"x.safetensors: not weights of this.*conv1 wants shapes"):
        ASAPNet(3, (64, 64, 3), weights=tmp_path / "x.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_damaged_file(tmp_path, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(b"\x00" * 100)
    with pytest.raises(AsapError, match=f"bad{suffix}: "):
        ASAPNet(3, (64, 64, 3), weights=path)


def test_weights_of_a_model_for_other_classes(tmp_path):
    source = ASAPNet(4, (64, 64, 3))
    classes = [LabelClass(f"c{i}", (i, 0, 0), "x", i) for i in range(4)]
    save_model(source, tmp_path / "model.keras", classes, (64, 64))
    other = ASAPNet(6, (96, 96, 3), fusion="none")
    assert weights.load_weights(other, tmp_path).fresh == ("fusion", "logits_classes")
    target = ASAPNet(6, (96, 96, 3), aux_heads=True)
    transfer = weights.load_weights(target, tmp_path)
    assert set(transfer.fresh) == {
        "logits_classes",
        *(f"aux{i}_{part}" for i in (3, 4) for part in ("block_conv", "block_bn", "classes")),
    }
    for name in ("backbone_conv1", "pyramid", "fusion", "attention"):
        for one, other in zip(
            source.get_layer(name).get_weights(), target.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("transposed", [False, True])
def test_heads_of_other_kinds_follow_the_names_of_classes(transposed, tmp_path):
    frames = keras.Input((4, 6, 3))
    if transposed:
        logits = keras.layers.Conv2DTranspose(3, 2, 2, name="logits_classes")(frames)
    else:
        x = keras.layers.Conv2D(3, 3, use_bias=False, name="logits_classes")(frames)
        logits = keras.layers.BatchNormalization(name="logits_classes_bn")(x)
    model = keras.Model(frames, logits)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.weights])
    x = rng.normal(size=(1, 4, 6, 3)).astype("float32")
    before = np.asarray(model(x))
    classes = [LabelClass(name, (0, 0, i), "x", i) for i, name in enumerate(("road", "sky", "car"))]
    save_model(model, tmp_path / "model.keras", classes, (32, 32))
    told = weights.match_classes(model, tmp_path / "model.keras", ["car", "road", "bus"])
    assert told == "2 classes taken by their names; left as initialized: bus"
    after = np.asarray(model(x))
    np.testing.assert_allclose(after[..., :2], before[..., [2, 0]], rtol=1e-5)
    assert not np.isclose(after[..., 2:], before).any(axis=(0, 1, 2)).any()


@pytest.mark.parametrize(
    ("backbone", "narrow", "wide"),
    [("resnet18", 0.25, 0.5), ("resnet18_vd", 0.25, 0.375), ("efficientnet_lite0", 0.5, 1)],
)
def test_a_wider_network_begins_with_the_same_function(backbone, narrow, wide, tmp_path):
    source = ASAPNet(4, (64, 96, 3), backbone, narrow)
    rng = np.random.default_rng(0)
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    classes = [LabelClass(f"c{i}", (i, 0, 0), "x", i) for i in range(4)]
    save_model(source, tmp_path / "model.keras", classes, (64, 96))
    target = ASAPNet(4, (64, 96, 3), backbone, wide)
    assert not weights.load_weights(target, tmp_path).fresh
    frames = rng.integers(0, 256, (1, 64, 96, 3)).astype("float32")
    expected = source(frames, training=False)
    np.testing.assert_allclose(target(frames, training=False), expected, atol=1e-3)

    # Copies of a channel would stay copies if all that reads them did so alike.
    labels = rng.integers(0, 4, (1, 64, 96))
    target.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    stem, own = (
        next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
        for model in (target, source)
    )
    before = np.array(stem.kernel)
    target.train_on_batch(frames, labels)
    steps = np.array(stem.kernel) - before
    assert not np.allclose(steps[..., 0], steps[..., own.filters], rtol=0.01, atol=0)


def test_a_narrower_network_or_another_kernel_begins_anew():
    layer = keras.layers.Conv2D(8, 3)
    layer.build((None, 4, 4, 4))
    rng = np.random.default_rng(0)
    assert weights.widened(layer, [(3, 3, 4, 6), (6,)], rng) is None
    assert weights.widened(layer, [(5, 5, 4, 8), (8,)], rng) is None
    assert weights.widened(layer, [(3, 3, 4, 8)], rng) is None
