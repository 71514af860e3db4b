from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A tiny untrained network that knows CamVid's classes, as a `.keras` file."""
    from asap_tf.data.camvid import CLASSES
    from asap_tf.saving import save_model
    from support.tiny import Tiny

    path = tmp_path_factory.mktemp("run") / "model.keras"
    save_model(Tiny(11, (None, None, 3)), path, CLASSES, (32, 64))
    return path


@pytest.fixture(scope="session")
def segmenter(model):
    from asap_tf import load

    return load(model)


@pytest.fixture(scope="session")
def port(segmenter):
    """Of a service of `segmenter` with the usual limits."""
    from support.serving import running

    with running(segmenter) as port:
        yield port


@pytest.fixture
def network():
    from support.serving import Held

    network = Held()
    yield network
    network.may_go.set()
