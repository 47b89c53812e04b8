"""From what was measured to ratios, and to the tables that are printed and kept in the docs. Needs no torch."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from typing import Any

RATIOS = (
    *("auto_to_float32", "auto_agreement", "job_to_pipeline", "student_to_auto", "student_agreement", "equal_texts_30", "rerun_unchanged"),
    *("rerun_one_permille", "rows_per_second_per_core_without_model", "cold_seconds_100_rows"),
)


#: What is measured of a table that was scored; such a table has a change feed, unless said otherwise.
RERUNS = ("unchanged", "one_permille", "without_feed_one_permille")


def rate(way: Mapping[str, Any]) -> float:
    """Return the median rows a second of a way's runs."""
    return statistics.median(run["rows"] / run["seconds"] for run in way["runs"])


def fastest(ways: Mapping[str, Any]) -> str:
    """Return the engine that ``auto`` took; where it did not run, the fastest of those that decide as float32 by themselves."""
    if "auto" in ways:
        return "auto"
    allowed = {name: way for name, way in ways.items() if "_" in name and name.split("_")[0] in ("torch", "openvino", "onnx")}
    allowed = {name: way for name, way in allowed.items() if "float32" in name or (way["equal"] or 0) >= 0.995}
    return max(allowed, key=lambda name: rate(allowed[name]))


def ratios(found: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the figures that are held against what was promised; None for what was not measured."""
    result: dict[str, float | None] = dict.fromkeys(RATIOS)
    engines = found.get("engines", {}).get("mixed", {})
    if "torch_float32" in engines:
        best = engines[fastest(engines)]
        result |= {"auto_to_float32": rate(best) / rate(engines["torch_float32"]), "auto_agreement": found.get("agreement", best)["equal"]}
    jobs = found.get("jobs", {})
    pipelines = [rate(jobs[name]) for name in ("pipeline_1", "pipeline_32") if name in jobs]
    if "ours_auto" in jobs and pipelines:
        result["job_to_pipeline"] = rate(jobs["ours_auto"]) / max(pipelines)
    equal = found.get("equal", {})
    if "0" in equal and "30" in equal:
        result["equal_texts_30"] = rate(equal["30"]) / rate(equal["0"])
    if machinery := found.get("machinery"):
        result["rows_per_second_per_core_without_model"] = min(one["rows_per_second_per_core"] for one in machinery)
    if table := found.get("table"):
        for name in RERUNS:
            if name in table:
                result[f"rerun_{name}"] = table[name] / table["without_feed_first" if name.startswith("without_feed_") else "first"]
    if (taught := found.get("student")) and "agreement" in taught:
        result["student_to_auto"] = rate(taught["student"][fastest(taught["student"])]) / rate(
            taught["teacher"][fastest(taught["teacher"])]
        )
        result["student_agreement"] = taught["agreement"]
    if cold := found.get("cold"):
        result["cold_seconds_100_rows"] = statistics.median(cold)
    return result


def slug(report: Mapping[str, Any]) -> str:
    """Return the name of a report's file: processor and cores."""
    processor = report["processor"]
    extra = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in processor["flags"]), "")
    return re.sub(r"[^a-z0-9]+", "-", f"score {processor['name']} {extra} {processor['cores']} cores".lower()).strip("-")


def section(found: Mapping[str, Any]) -> str:
    """Return what the docs say of one measurement."""
    processor = found["processor"]
    flags = ", ".join(flag for flag in processor["flags"] if flag.startswith(("avx512_", "amx", "avx2"))) or "none of AVX2, AVX-512 and AMX"
    parts = [
        f"### Scoring: {processor['name']}, {processor['cores']} cores",
        f"{found['date']}, {flags}. " + ", ".join(f"{name} {version}" for name, version in found["versions"].items()) + ".",
        _peaks(found.get("peaks")),
        *(
            _table(f"Engines alone, one process × {found['threads']} thread(s), texts {mix!r}", ways, "torch_float32")
            for mix, ways in found.get("engines", {}).items()
        ),
        _table("Whole jobs, Delta in, Delta out", found.get("jobs"), "ours_float32"),
        _table("Whole jobs, by the share in percent of rows whose text another row has", found.get("equal"), "0"),
        _student(found.get("student")),
        _machinery(found.get("machinery")),
        _reruns(found.get("table")),
        f"100 rows, cold, by the command line: {_shown(statistics.median(found['cold']))} s." if found.get("cold") else "",
        "Held against what was promised: " + ", ".join(f"`{name}` {_shown(value)}" for name, value in found["ratios"].items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, ways: Mapping[str, Any] | None, first: str) -> str:
    if not ways:
        return ""
    rows = [
        f"{title}:",
        "",
        f"| way | rows/s | slowest–fastest | to {first} | equal decisions | rows, runs |",
        "| --- | ---: | --- | ---: | ---: | ---: |",
    ]
    for name, way in ways.items():
        rates = [run["rows"] / run["seconds"] for run in way["runs"]]
        beside = f"{rate(way) / rate(ways[first]):.2f}" if first in ways else ""
        equal = "" if way.get("equal") is None else f"{way['equal']:.4f}"
        count = f"{way['runs'][0]['rows']:.0f}, {len(rates)}"
        rows.append(f"| {name} | {rate(way):.1f} | {min(rates):.1f}–{max(rates):.1f} | {beside} | {equal} | {count} |")
    return "\n".join(rows)


def _student(found: Mapping[str, Any] | None) -> str:
    if not found or "agreement" not in found:
        return ""
    ways = {f"{who} {name}": way for who in ("teacher", "student") for name, way in found[who].items()}
    table = _table("A student beside its teacher, each beside its own float32", ways, "teacher torch_float32")
    taught = found.get("taught") or {}
    how = f" after {taught['epochs']} epochs of {taught['rows']:,} texts, {taught['labelled']:,} of them labelled" if taught else ""
    return f"{table}\n\nThe student decides {found['agreement']:.2%} of texts it was not shown as its teacher does{how}."


def _peaks(found: Mapping[str, float] | None) -> str:
    if not found:
        return ""
    return "Matrix products on these threads: " + ", ".join(f"{name} {value / 1e9:.0f} GFLOP/s" for name, value in found.items()) + "."


def _machinery(found: list[Mapping[str, Any]] | None) -> str:
    if not found:
        return ""
    each = "; ".join(f"{one['labels']} labels: {one['rows_per_second_per_core']:,.0f} rows/s ({one['rows']:,} rows)" for one in found)
    return f"The path around a model that costs nothing, CPU time of one core, without the JVM: {each}."


def _reruns(found: Mapping[str, float] | None) -> str:
    if not found:
        return ""
    rest = "; ".join(f"{name.replace('_', ' ')} {found[name]:.1f} s" for name in RERUNS if name in found)
    return f"A table of {found['rows']:,.0f} rows with a model that costs nothing: first run {found['first']:.0f} s; {rest}."


def _shown(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"
