"""From what was measured to figures, and from figures to the table that is printed and kept in the docs. Needs no torch."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

#: Ratio → (way, way it is held against).
RATIOS = {
    "one_rank_to_trainer_grouped": ("one_rank", "trainer_grouped"),
    "one_rank_to_bare": ("one_rank", "bare"),
    "two_ranks_to_trainer_grouped": ("two_ranks", "trainer_grouped"),
    "two_ranks_to_one_single_threaded": ("two_ranks", "one_rank_single_threaded"),
}

COLUMNS = [
    *("way", "rows/s", "slowest–fastest", "to Trainer, grouped", "padding", "loss, first → last tenth", "validation accuracy"),
    *("first step, s", "waiting: feed, sum"),
]

#: Share of the steps, at the beginning and at the end, whose losses are averaged.
EDGE = 0.1


def run_figures(ranks: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of one run of a way, from what each of its processes left.

    Args:
        ranks: What ``Meter.write`` wrote, of each process.
        facts: What ``data.prepare`` returned, with ``epochs``.
    """
    seconds = max(rank["seconds"] for rank in ranks)
    rows, tokens = facts["rows"] * facts["epochs"], facts["tokens"] * facts["epochs"]
    steps = list(zip(*(rank["tokens"] for rank in ranks), strict=True))
    losses = _losses(ranks)
    edge = max(1, int(EDGE * len(losses)))
    waiting = {name: statistics.mean(rank["waiting"].get(name, 0.0) for rank in ranks) / seconds for name in ("feed", "allreduce")}
    return {
        "rows_per_second": rows / seconds,
        "seconds": seconds,
        "first_step": max(rank["first_step"] for rank in ranks),
        "padding": sum(map(sum, steps)) / tokens,
        # All wait for the one that has most to compute.
        "padding_of_slower": sum(map(max, steps)) * len(ranks) / tokens,
        "waiting": waiting,
        "loss_start": statistics.mean(losses[:edge]),
        "loss_end": statistics.mean(losses[-edge:]),
        "validation": ranks[0]["validation"],
        "losses": losses,
        "tokens": [list(step) for step in steps],
        "threads": [rank["threads"] for rank in ranks],
    }


def _losses(ranks: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the loss of each step: this project's ranks all say the global one, others their own, of which the mean is taken."""
    return [round(statistics.mean(step), 5) for step in zip(*(rank["losses"] for rank in ranks), strict=True)]


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the medians over the rounds of one way, and the spread of its rate."""
    rates = [run["rows_per_second"] for run in runs]
    middle = {
        name: statistics.median(run[name] for run in runs)
        for name in ("rows_per_second", "first_step", "padding", "padding_of_slower", "loss_start", "loss_end")
    }
    validation = {name: statistics.median(run["validation"][name] for run in runs) for name in ("accuracy", "loss")}
    waiting = {name: statistics.median(run["waiting"][name] for run in runs) for name in runs[0]["waiting"]}
    return {**middle, "slowest": min(rates), "fastest": max(rates), "validation": validation, "waiting": waiting}


def ratio(ways: Mapping[str, Mapping[str, Any]], first: str, second: str) -> float | None:
    """Return the median over the rounds of one way's rate to another's in the same round; None if one was not measured."""
    if first not in ways or second not in ways:
        return None
    pairs = zip(ways[first]["runs"], ways[second]["runs"], strict=True)
    return statistics.median(one["rows_per_second"] / other["rows_per_second"] for one, other in pairs)


def ratios(ways: Mapping[str, Mapping[str, Any]], whole: Mapping[str, Any] | None) -> dict[str, float | None]:
    """Return the figures that are held against what was promised."""
    found = {name: ratio(ways, *pair) for name, pair in RATIOS.items()}
    padding = ways["one_rank"]["padding"] if "one_rank" in ways else None
    return {**found, "padding": padding, "fixed_seconds": whole["fixed_seconds"] if whole else None}


def bound(peaks: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what matrix products alone would allow: peak over six operations a parameter and token."""
    operations = 6 * peaks[0]["parameters_without_embeddings"] * facts["tokens_per_row"]
    best = statistics.median(peak["operations"] for peak in peaks)
    shaped = statistics.median(peak["operations_in_model_shapes"] for peak in peaks)
    return {
        "operations_a_second": best,
        "operations_a_second_in_model_shapes": shaped,
        "parameters_without_embeddings": peaks[0]["parameters_without_embeddings"],
        "operations_a_row": operations,
        "rows_per_second": best / operations,
        "rows_per_second_in_model_shapes": shaped / operations,
        "rounds": list(peaks),
    }


def slug(report: Mapping[str, Any]) -> str:
    """Return the name of a report's file: processor, cores, precision."""
    processor = report["processor"]
    extra = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in processor["flags"]), "")
    parts = ("train", processor["name"], extra, f"{processor['cores']} cores", report["precision"])
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def table(report: Mapping[str, Any]) -> str:
    """Return the ways as a table in Markdown."""
    ways, grouped = report["ways"], report["ways"].get("trainer_grouped")
    cells = [COLUMNS, ["---", "---:", "---", "---:", "---", "---", "---:", "---:", "---"]]
    for name, way in ways.items():
        rate, validation, waiting = way["rows_per_second"], way["validation"], way["waiting"]
        cells.append(
            [
                way["title"],
                f"{rate:.1f}",
                f"{way['slowest']:.1f}–{way['fastest']:.1f}",
                f"{ratio(ways, name, 'trainer_grouped'):.2f}" if grouped else "",
                f"{way['padding']:.3f}" + (f" ({way['padding_of_slower']:.3f})" if way["processes"] > 1 else ""),
                f"{way['loss_start']:.2f} → {way['loss_end']:.2f}",
                f"{validation['accuracy']:.3f}",
                f"{way['first_step']:.1f}",
                f"{waiting['feed']:.1%}, {waiting['allreduce']:.1%}" if way["kind"] == "ours" else "",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def section(report: Mapping[str, Any], picture: str | None) -> str:
    """Return what the docs say of one measurement."""
    processor, facts, settings = report["processor"], report["facts"], report["settings"]
    flags = ", ".join(flag for flag in processor["flags"] if flag.startswith(("avx", "amx"))) or "none of AVX and AMX"
    versions = ", ".join(f"{name} {version}" for name, version in report["versions"].items())
    rows = f"{facts['data']}: {facts['rows']} rows of {facts['tokens_per_row']:.1f} tokens, {facts['labels']} labels"
    parts = [
        f"### {processor['name']}, {processor['cores']} cores, {report['precision']}",
        f"{report['date']}, {flags}. {versions}.",
        f"{rows}; batches of {settings['batch_size']}, {facts['epochs']} epoch(s), {settings['rounds']} round(s).",
        table(report),
        _bound_line(report.get("bound")),
        _whole_line(report.get("whole")),
        "Held against what was promised: " + ", ".join(f"`{name}` {_shown(value)}" for name, value in report["ratios"].items()) + ".",
        f"![rows a second and losses of each way](../bench/results/{picture})" if picture else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def _bound_line(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    best, shaped = (found[f"operations_a_second{where}"] / 1e9 for where in ("", "_in_model_shapes"))
    return (
        f"Bound: matrix products reach {best:.0f} GFLOP/s here, which is {found['rows_per_second']:.0f} rows/s at "
        f"{found['operations_a_row'] / 1e9:.2f} GFLOP a row; in the shapes of this model's largest layer {shaped:.0f} GFLOP/s, "
        f"{found['rows_per_second_in_model_shapes']:.0f} rows/s."
    )


def _whole_line(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    return (
        f"A whole `train` on {found['rows_of_table']} rows for one epoch took {found['command_seconds']:.0f} s, "
        f"{found['fixed_seconds']:.0f} s of them outside the epoch."
    )
