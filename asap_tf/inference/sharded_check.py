"""The check of a dataset whose files several hosts read in parts."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asap_tf.core.distributed import Hosts
from asap_tf.core.errors import AsapError
from asap_tf.data.check import Defect, Examine, examine_pairs
from asap_tf.data.dataset import Dataset, Pair


def sharded(hosts: Hosts) -> Examine:
    """An `examine` for `asap_tf.data.check.check_dataset` that reads each file on one host.

    All hosts get the same report. They have to see the same frames, by number and names; if they do
    not, the check ends with an `AsapError`.

    Args:
        hosts: Hosts that check the same dataset, each under the same path.

    Examples:
        >>> check_dataset(dataset, examine=sharded(hosts))
    """

    def examine(pairs: Sequence[Pair], dataset: Dataset) -> tuple[np.ndarray, list[Defect]]:
        pixels, defects = examine_pairs(hosts.shard(pairs), dataset)
        names = zlib.crc32(os.fsencode("\n".join(pair.image.name for pair in pairs)))
        seen, parts, found = zip(
            *hosts.all_gather(
                [
                    [len(pairs), names],
                    pixels.tolist(),
                    [[str(defect.path), defect.problem] for defect in defects],
                ]
            ),
            strict=True,
        )
        if any(other != seen[0] for other in seen):
            raise AsapError(
                "the hosts see different frames in the same split, "
                f"{', '.join(str(count) for count, _ in seen)} of them; give all hosts the same "
                "data under the same path"
            )
        everything = [Defect(Path(path), problem) for part in found for path, problem in part]
        whole = np.zeros((len(pairs), pixels.shape[1]), pixels.dtype)
        for index, part in enumerate(parts):
            whole[index :: hosts.count] = np.reshape(part, (-1, pixels.shape[1]))
        return whole, everything

    return examine
