from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version

ALONE = """
import sys
sys.argv = ["asap-tf", "doctor", "--json"]
from asap_tf.cli import main
try:
    main()
finally:
    heavy = {"tensorflow", "keras", "numpy", "cv2", "onnxruntime"} & set(sys.modules)
    sys.exit(f"imported {heavy}" if heavy else 0)
"""


def test_json_tells_all_and_imports_nothing_heavy():
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["versions"]["tensorflow"] == version("tensorflow")
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert [precision["name"] for precision in found["precisions"]] == ["int8", "bfloat16"]
    (litert,) = (extra for extra in found["extras"] if extra["name"] == "litert")
    assert litert["installed"] == {"ai-edge-litert": version("ai-edge-litert")}


def test_what_is_missing_stands_beside_the_command_that_brings_it(asap, monkeypatch):
    from asap_tf.core import installation

    real = installation.installed_version

    def without_litert(name):
        return None if name == "ai-edge-litert" else real(name)

    monkeypatch.setattr(installation, "installed_version", without_litert)
    result = asap("doctor")
    (line,) = (line for line in result.out.splitlines() if line.startswith("[litert]"))
    assert result.code == 0 and "LiteRT" in line and "pip install 'asap-tf[litert]'" in line
