from __future__ import annotations

import yaml


def test_card_of_a_preset(asap, tmp_path):
    out = tmp_path / "README.md"
    assert asap("card", "asap_lite0_street", "--out", out).code == 0
    _, front, card = out.read_text().split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["library_name"] == "keras"
    (result,) = front["model-index"][0]["results"]
    assert 51 < result["metrics"][0]["value"] < 52
    assert "| bicycle | 32." in card
    recipe = yaml.safe_load(card.partition("```yaml\n")[2].partition("```")[0])
    assert recipe["name"] == "street_lite0"

    again = asap("card", "asap_lite0_street", "--out", out)
    assert again.code == 2
    assert "already exists" in again.err


def test_card_of_an_export_is_printed(asap, tmp_path, trained_model):
    asap("export", trained_model, "--out", tmp_path / "export", "--tflite")
    printed = asap("card", tmp_path / "export" / "asap_fp32.tflite")
    assert printed.code == 0
    assert printed.out.startswith("---\n")
    assert "Not scored." in printed.out
