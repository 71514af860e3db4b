from __future__ import annotations

import shutil

import numpy as np
import pytest

from asap_tf.core.errors import AsapError
from asap_tf.data import open_dataset
from asap_tf.data.check import check_dataset
from asap_tf.inference.sharded_check import sharded
from support.thread_hosts import on_two_hosts


@pytest.fixture
def copy(streets_root, tmp_path):
    root = tmp_path / "streets"
    shutil.copytree(streets_root, root)
    return root


def test_all_hosts_get_the_report_of_one(copy):
    dataset = open_dataset(copy)
    bad = dataset.pairs("train")[1].image
    bad.write_bytes(b"")
    alone = check_dataset(dataset)
    assert [defect.path for defect in alone.defects] == [bad]
    for report in on_two_hosts(lambda hosts: check_dataset(dataset, examine=sharded(hosts))):
        assert report.defects == alone.defects and report.warnings == alone.warnings
        assert report.pixels.keys() == alone.pixels.keys()
        for split, pixels in alone.pixels.items():
            np.testing.assert_array_equal(report.pixels[split], pixels)


def test_every_file_is_read_by_one_host(streets_root, monkeypatch):
    from asap_tf.data import check

    read, seen = check.read_image, []
    monkeypatch.setattr(check, "read_image", lambda path: (seen.append(path), read(path))[1])
    dataset = open_dataset(streets_root)
    on_two_hosts(lambda hosts: check_dataset(dataset, ["val"], sharded(hosts)))
    assert sorted(seen) == sorted(pair.image for pair in dataset.pairs("val"))


def test_hosts_that_see_different_frames_are_refused(streets_root, copy):
    one = open_dataset(copy).pairs("val")[0]
    for file in (one.image, one.mask):
        file.rename(file.with_name(file.name.replace("_0", "_9", 1)))

    def check(hosts):
        dataset = open_dataset(copy if hosts.is_main else streets_root)
        with pytest.raises(AsapError, match="see different frames in the same split, 20, 20 of"):
            check_dataset(dataset, ["val"], sharded(hosts))

    on_two_hosts(check)
