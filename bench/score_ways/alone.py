"""Engines by themselves, without Spark: a bare sorted loop, a pipeline, and each engine in each number format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.score_ways.material import MAX_LENGTH
from bench.score_ways.material import texts as texts_of
from sparknlp_ft.errors import UserError
from sparknlp_ft.scoring.choice import SAMPLE, candidates, pick
from sparknlp_ft.scoring.columns import Output
from sparknlp_ft.scoring.engine import load_engine
from sparknlp_ft.scoring.engines.settings import PRECISIONS
from sparknlp_ft.scoring.measuring import calibration_rows, measure
from sparknlp_ft.tasks import get_task

AGREEMENT_ROWS = 4000

#: The default of ``score.min_agreement``.
LEAST = 0.995

Way = Callable[[list[str]], np.ndarray]


def ways(model: Path, texts: Sequence[str], threads: int, wanted: Sequence[str] = ()) -> dict[str, Way]:
    """Return what scores texts to numbers of labels, by name; engines that cannot be had here are left out."""
    import torch

    torch.set_num_threads(threads)
    found: dict[str, Way] = {}
    for name, make in _makers(model, texts, threads).items():
        if wanted and name not in wanted:
            continue
        try:
            found[name] = make()
        except UserError as error:
            print(f"{name}: left out: {error}", flush=True)
    return found


def _makers(model: Path, texts: Sequence[str], threads: int) -> dict[str, Callable[[], Way]]:
    makers: dict[str, Callable[[], Way]] = {
        "pipeline_1": lambda: partial(run_pipeline, make_pipeline(model), batch_size=1),
        "pipeline_32": lambda: partial(run_pipeline, make_pipeline(model), batch_size=32),
        "bare_sorted_loop": lambda: bare_loop(model),
    }
    for engine, precisions in PRECISIONS.items():
        for precision in precisions:
            if precision != "float16":
                makers[f"{engine}_{precision}"] = partial(_engine, model, texts, engine=engine, precision=precision, threads=threads)
    return {**makers, "auto": partial(_auto, model, texts, threads)}


def _engine(model: Path, texts: Sequence[str], **settings: object) -> Way:
    calibration = calibration_rows([[*texts]]) if settings["precision"] == "int8" else ()
    engine = load_engine(model, calibration=calibration, **settings)
    return lambda some: engine.predict(some).results.argmax(axis=1)


def _auto(model: Path, texts: Sequence[str], threads: int) -> Way:
    """Return what ``score.engine=auto`` would take, chosen on texts that are not scored here."""
    scored, output = set(texts), Output(get_task("classification").prediction_fields)
    others = [text for text in texts_of(4 * SAMPLE, seed=1) if text not in scored][:SAMPLE]
    measured = measure(partial(load_engine, model, threads=threads), [others], candidates("auto", "auto", 10**6), output, LEAST)
    chosen, lines = pick(measured, "auto", LEAST)
    print("\n".join([*lines, f"auto: {chosen.name}"]), flush=True)
    calibration = calibration_rows([others]) if chosen.precision == "int8" else ()
    settings = {"engine": chosen.engine, "precision": chosen.precision, "deferral": chosen.deferral, "calibration": calibration}
    engine = load_engine(model, threads=threads, **settings)
    return lambda some: engine.predict(some).results.argmax(axis=1)


def agreement(model: Path, way: Way, threads: int) -> dict[str, float]:
    """Return how many texts a way decides as torch does in float32: enough of them to tell half a percent from none."""
    some = texts_of(AGREEMENT_ROWS, seed=2)
    exact = load_engine(model, precision="float32", threads=threads).predict(some).results.argmax(axis=1)
    return {"rows": len(some), "equal": float((way(some) == exact).mean())}


def make_pipeline(model: Path) -> Callable:
    from transformers import pipeline

    from sparknlp_ft.models.folder import quiet_transformers

    with quiet_transformers():
        return pipeline("text-classification", model=str(model), top_k=1)


def run_pipeline(pipe: Callable, texts: list[str], *, batch_size: int) -> np.ndarray:
    found = pipe(texts, batch_size=batch_size, truncation=True, max_length=MAX_LENGTH)
    index = pipe.model.config.label2id  # type: ignore[attr-defined]
    return np.asarray([index[one[0]["label"] if isinstance(one, list) else one["label"]] for one in found])


def bare_loop(model: Path, tokens: int = 2048) -> Way:
    """Return what one writes who knows how: texts sorted by length, cut into batches by their tokens, transformers and torch alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForSequenceClassification.from_pretrained(model).eval()

    def run(texts: list[str]) -> np.ndarray:
        ids = tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        result = np.zeros(len(ids), dtype=np.int64)
        start = 0
        with torch.inference_mode():
            while start < len(order):
                end = start + 1
                while end < len(order) and (end + 1 - start) * len(ids[order[end]]) <= tokens:
                    end += 1
                batch = order[start:end]
                padded = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
                result[batch] = network(**padded).logits.argmax(dim=1).numpy()
                start = end
        return result

    return run


def peaks(seconds: float = 1.0) -> dict[str, float]:
    """Return the operations a second of matrix products in each number format, on the threads that are set."""
    import torch

    from bench.train_ways.peak import SHAPES, rate

    return {name: max(rate(shape, getattr(torch, name), seconds) for shape in SHAPES) for name in ("float32", "bfloat16")}
