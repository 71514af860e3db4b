from __future__ import annotations

import asap_tf
import asap_tf.cli.demo as demo


def test_demo_in_small(asap, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "FRAMES", {"train": 4, "val": 2})
    monkeypatch.setattr(demo, "SIZE", (64, 128))
    out = tmp_path / "demo"
    out.mkdir()
    small = ["augment.crop=[32, 64]", "eval.size=[64, 128]", "train.epochs=1", "train.batch_size=2"]
    result = asap("demo", "--out", out, *(arg for s in small for arg in ("--set", s)))
    assert result.code == 0, result.err
    assert "the location prior" in result.out
    assert (out / "run" / "report.html").exists()
    assert len(list((out / "predictions").iterdir())) == 2
    assert len(asap_tf.load(out / "run").classes) == 19

    again = asap("demo", "--out", out)
    assert again.code == 2 and "exists already" in again.err
