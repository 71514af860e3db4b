"""Parts of all reports: lines about the machine, tables, numbers."""

from __future__ import annotations

from collections.abc import Sequence

from asap_tf.benchmark.machine import Machine


def machine_lines(machine: Machine) -> list[str]:
    """Lines about the machine, for the head of a report."""
    instructions = f" ({', '.join(machine.instructions)})" if machine.instructions else ""
    load = "" if machine.load is None else f", load average {machine.load:.1f}"
    return [
        f"- processor: {machine.cpu}, {machine.cores} cores{instructions}, "
        f"{machine.memory / 2**30:.0f} GiB",
        f"- GPU: {'; '.join(machine.gpus) or 'none'}",
        f"- system: {machine.system}, {machine.software}",
        f"- date: {machine.date}{load}",
    ]


def warning_lines(machine: Machine) -> list[str]:
    """Lines that say what makes the figures doubtful, if anything."""
    return ["", f"Warning: {machine.warning}"] if machine.warning else []


def table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Lines of a Markdown table, padded so that its source is readable as well.

    Args:
        header: Name of each column.
        rows: Cells of each row.
        align: `"l"` or `"r"` for each column, as one string.
    """
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if side == "l" else cell.rjust(width)
            for cell, width, side in zip(cells, widths, align, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * width if side == "l" else "-" * (width - 1) + ":"
        for width, side in zip(widths, align, strict=True)
    ]
    return [line(header), line(rule), *map(line, rows)]


def figure(value: float) -> str:
    """A positive number to three digits: `"0.123"`, `"4.56"`, `"78.9"`, `"1234"`."""
    decimals = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}"


def scaled(value: int | None, unit: float) -> str:
    """A count in units, `"-"` if it is unknown."""
    return "-" if value is None else figure(value / unit)
