"""What is installed, by the metadata of the packages: none of them is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement

from asap_tf.core.errors import AsapError
from asap_tf.core.formats import FORMATS

PACKAGE = "asap-tf"

_OF_DEVELOPERS = "dev"


@dataclass(frozen=True)
class Extra:
    """An extra of `setup.cfg`.

    Attributes:
        name: Its name.
        formats: Formats of models that it brings, for people.
        installed: Versions of its packages that are there as it wants them, by name.
        missing: Its requirements that are not there, as pip takes them.
        pip_line: Command that installs them.
    """

    name: str
    formats: tuple[str, ...]
    installed: dict[str, str]
    missing: tuple[str, ...]
    pip_line: str


def installed_version(package: str) -> str | None:
    """Version of a package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def extras() -> list[Extra]:
    """All extras that the installed asap-tf has for its users.

    Raises:
        AsapError: if asap-tf was not installed, and has no metadata.
    """
    try:
        own = metadata(PACKAGE)
    except PackageNotFoundError:
        raise AsapError(f"{PACKAGE} is not installed here; in its folder: pip install .") from None
    requirements = [Requirement(line) for line in own.get_all("Requires-Dist") or []]
    found = []
    for name in own.get_all("Provides-Extra") or []:
        if name == _OF_DEVELOPERS:
            continue
        installed, missing = {}, []
        for requirement in _of_extra(requirements, name):
            present = installed_version(requirement.name)
            if present is not None and requirement.specifier.contains(present, prereleases=True):
                installed[requirement.name] = present
            else:
                missing.append(f"{requirement.name}{requirement.specifier}")
        labels = tuple(row.label for row in FORMATS.values() if row.extra == name)
        pip_line = f"pip install '{PACKAGE}[{name}]'"
        found.append(Extra(name, labels, installed, tuple(missing), pip_line))
    return found


def _of_extra(requirements: list[Requirement], extra: str) -> Iterator[Requirement]:
    """What an extra needs on this system, the extras that it consists of followed."""
    for requirement in requirements:
        marker = requirement.marker
        if (
            marker is None
            or marker.evaluate({"extra": ""})
            or not marker.evaluate({"extra": extra})
        ):
            continue
        if requirement.name == PACKAGE:
            for part in sorted(requirement.extras):
                yield from _of_extra(requirements, part)
        else:
            yield requirement
