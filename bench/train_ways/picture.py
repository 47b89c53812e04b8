"""A report as a picture: rows a second of each way with its spread, and the losses of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: Steps over which a curve is smoothed.
SMOOTH = 5


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ways = list(report["ways"].values())
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 4.5), width_ratios=(3, 2))
    rates = np.array([way["rows_per_second"] for way in ways])
    spread = [rates - [way["slowest"] for way in ways], np.array([way["fastest"] for way in ways]) - rates]
    colors = ["tab:blue" if way["kind"] == "ours" else "tab:gray" for way in ways]
    left.barh([way["title"] for way in ways], rates, xerr=spread, color=colors, capsize=3)
    left.invert_yaxis()
    left.set_xlabel("rows a second, median and spread")
    if report.get("bound"):
        limit = report["bound"]["rows_per_second_in_model_shapes"]
        left.axvline(limit, color="tab:red", linestyle="--", label=f"matrix products in the model's shapes: {limit:.0f}")
        left.legend(loc="lower right", fontsize="small")
    for way in ways:
        losses = np.array(way["runs"][0]["losses"])
        width = min(SMOOTH, len(losses))
        curve = np.convolve(losses, np.ones(width) / width, mode="valid")
        right.plot(np.arange(len(curve)) + width, curve, label=way["title"], linestyle="-" if way["kind"] == "ours" else "--")
    right.set_xlabel("step")
    right.set_ylabel(f"loss, mean of {SMOOTH} steps")
    right.legend(fontsize="x-small")
    figure.suptitle(f"{report['processor']['name']}, {report['processor']['cores']} cores, {report['precision']}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
