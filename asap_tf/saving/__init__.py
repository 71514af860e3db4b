"""What a model is on disk: `.keras` files, metadata, weights from elsewhere, presets.

Importing this loads no Keras.
"""

from asap_tf.saving.keras_file import from_preset, load_keras_model, model_file, save_model
from asap_tf.saving.location import locate
from asap_tf.saving.metadata import (
    METADATA_NAME,
    classes_of,
    parse_metadata,
    read_metadata,
    update_metadata,
    versions,
)
from asap_tf.saving.presets import preset_file, preset_files
from asap_tf.saving.sidecar import (
    artifact_bytes,
    artifact_files,
    checksums,
    fingerprint,
    is_own,
    read_sidecar,
    sidecar,
    update_sidecar,
    write_sidecar,
)
from asap_tf.saving.transfer import Transfer, copy_matching, load_weights, match_classes

__all__ = [
    "METADATA_NAME",
    "Transfer",
    "artifact_bytes",
    "artifact_files",
    "checksums",
    "classes_of",
    "copy_matching",
    "fingerprint",
    "is_own",
    "from_preset",
    "load_keras_model",
    "load_weights",
    "locate",
    "match_classes",
    "model_file",
    "parse_metadata",
    "preset_file",
    "preset_files",
    "read_metadata",
    "read_sidecar",
    "save_model",
    "sidecar",
    "update_metadata",
    "update_sidecar",
    "versions",
    "write_sidecar",
]
