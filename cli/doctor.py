"""`asap-tf doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from asap_tf.cli.output import echo

if TYPE_CHECKING:
    from asap_tf.core.installation import Extra

_PACKAGES = ("tensorflow", "keras", "numpy")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Say what is installed, what each extra would bring, and what this machine is good at."""
    import json
    import platform
    import sys
    from dataclasses import asdict

    from asap_tf.core.installation import extras, installed_version
    from asap_tf.core.processor import precisions, processor_words
    from asap_tf.core.system import (
        available_cores,
        available_memory,
        package_version,
        processor_name,
        total_memory,
    )

    versions = {
        "asap-tf": package_version(),
        "python": platform.python_version(),
        **{name: installed_version(name) or "missing" for name in _PACKAGES},
    }
    machine: dict[str, Any] = {
        "system": platform.platform(),
        "processor": processor_name(),
        "cores": available_cores(),
        "memory": total_memory(),
        "available_memory": available_memory(),
    }
    worth, brought = precisions(processor_words()), extras()
    if as_json:
        found = {
            "versions": versions,
            "executable": sys.executable,
            **machine,
            "precisions": [asdict(precision) for precision in worth],
            "extras": [asdict(extra) for extra in brought],
        }
        click.echo(json.dumps(found, indent=2))
        return
    whole, free = (machine[name] / 2**30 for name in ("memory", "available_memory"))
    lines = {
        **versions,
        "executable": sys.executable,
        "system": machine["system"],
        "processor": f"{machine['processor']}, {machine['cores']} cores",
        "memory": f"{whole:.1f} GiB, {free:.1f} of it free",
        **{precision.name: precision.advice for precision in worth},
        **{f"[{extra.name}]": extra_line(extra) for extra in brought},
    }
    for name, value in lines.items():
        echo(f"{name:<12} {value}")


def extra_line(extra: Extra) -> str:
    """What an extra has brought, or would bring and how, for people."""
    formats = f"{', '.join(extra.formats)}: " if extra.formats else ""
    if extra.missing:
        return f"{formats}not here, {', '.join(extra.missing)}; {extra.pip_line}"
    return formats + ", ".join(f"{name} {version}" for name, version in extra.installed.items())
