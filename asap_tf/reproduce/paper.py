"""The paper's numbers and claims."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkRow:
    """A row of Table I: Cityscapes test, on a GTX 1080 Ti.

    Attributes:
        title: Name of the network as printed.
        size: Size of the input as printed.
        miou: mIoU in percent; None where the row is not the paper's.
        fps: Frames a second; None where the row is not the paper's.
        name: Name in the registry of networks; None if it is not implemented here.
        note: What the network's own sources say against the row, or why there is no such network
            here.
    """

    title: str
    size: str
    miou: float | None
    fps: float | None
    name: str | None = None
    note: str = ""


TABLE_1 = (
    NetworkRow(
        *("ICNet", "1024x2048", 69.5, 34.0, "icnet"),
        note="34 FPS here, 30.3 in the same table of STDC (Fan et al., CVPR 2021), whose other "
        "figures are the paper's",
    ),
    NetworkRow(
        *("LDFNet", "512x1024", 71.3, 18.3, "ldfnet"),
        note="18.3 FPS is a Titan X's figure, by its authors' README (18.4 there), which has 27.7 "
        "on a GTX 1080 Ti. Built here without depth, whose channel is 0",
    ),
    NetworkRow("DFANet A", "1024x1024", 71.3, 100.0, "dfanet_a"),
    NetworkRow(
        *("CellNet", "768x1536", 70.5, 108.0),
        note="not built: neither its searched cells (CAS, Zhang et al., CVPR 2019) nor their "
        "number and widths are public as text or code; the paper's figures are quoted",
    ),
    NetworkRow(
        *("DF1-Seg (TRT)", "768x1536", 73.0, 106.4, "df1_seg"),
        note="it ran at 1024x2048, by its authors' README and by STDC's table, not at 768x1536; "
        "106.4 FPS is STDC's table, the README and its log have 106.1",
    ),
    NetworkRow(
        *("FasterSeg (TRT)", "1024x2048", 71.5, 163.9, "fasterseg"),
        note="163.9 FPS was measured on a twin that resizes to the nearest, by its authors' code; "
        "here it is the network that they trained, which resizes bilinearly",
    ),
    NetworkRow(
        *("TinyHMSeg (TRT)", "768x1536", 71.4, 172.4),
        note="not built: its searched operators, depths and widths are not public as text or "
        "code; the paper's figures are quoted",
    ),
    NetworkRow("BiSeNetV2 (TRT)", "512x1024", 72.6, 156.0, "bisenetv2"),
    NetworkRow("STDC2-Seg50 (TRT)", "512x1024", 73.4, 188.6, "stdc2"),
    NetworkRow("ASAP (TRT)", "512x1024", 73.1, 191.0, "asap"),
    NetworkRow("STDC1-Seg50", "-", None, None, "stdc1"),
    NetworkRow("DDRNet-23-slim", "-", None, None, "ddrnet_23_slim"),
    NetworkRow("PIDNet-S", "-", None, None, "pidnet_s"),
    NetworkRow("FFNet-46NS", "-", None, None, "ffnet_46ns"),
)
"""Table I; the last four, which it does not have, are the usual choices today."""

TABLE_2 = {"norms_none": 67.4, "norms_ln": 70.0, "norms_in": 74.9, "asap": 75.1}
"""Table II: mIoU on Cityscapes val, percent, by variant."""


@dataclass(frozen=True)
class ModuleRow:
    """A row of Table III, at 1024 x 1024.

    Attributes:
        title: Name of the module.
        part: `"fusion"` or `"attention"`.
        option: Value of that argument of `ASAPNet`.
        variant: Name of the network with this module, in `ablations`.
        gflops: Operations as printed, in G.
        miou: mIoU on Cityscapes val, percent.
    """

    title: str
    part: str
    option: str
    variant: str
    gflops: float
    miou: float


TABLE_3 = (
    ModuleRow("fusion: General", "fusion", "general", "fusion_general", 1.08, 74.4),
    ModuleRow("fusion: FFDN", "fusion", "ffdn", "asap", 0.54, 75.9),
    ModuleRow("attention: conventional", "attention", "full", "attention_full", 87.52, 76.7),
    ModuleRow(
        "attention: horizontal", "attention", "horizontal", "attention_horizontal", 0.22, 74.6
    ),
    ModuleRow("attention: vertical", "attention", "vertical", "asap", 0.22, 75.9),
)


@dataclass(frozen=True)
class Claim:
    """A claim that one variant scores above another.

    Attributes:
        better: Name of the better variant.
        worse: Name of the worse variant.
        points: Difference in points of mIoU; None where the paper prints no such row.
    """

    better: str
    worse: str
    points: float | None


CLAIMS_2 = (
    Claim("norms_ln", "norms_none", 2.6),
    Claim("norms_in", "norms_none", 7.5),
    Claim("norms_in", "norms_ln", 4.9),
    Claim("asap", "norms_in", 0.2),
    Claim("asap", "norms_none", 7.7),
)
CLAIMS_3 = (
    Claim("asap", "fusion_general", 1.5),
    Claim("asap", "attention_none", None),
    Claim("asap", "attention_horizontal", 1.3),
    Claim("attention_full", "asap", 0.8),
)
