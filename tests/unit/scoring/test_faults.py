"""A fault of the machine is not a fault of a row: faults are put in at each place, and calls of the model are counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sparknlp_ft.scoring.engine import Scored, TorchEngine, load_engine
from sparknlp_ft.scoring.engines.protocol import Batch
from sparknlp_ft.scoring.engines.torch import TorchRuntime
from sparknlp_ft.scoring.faults import MACHINE_WORDS, MachineFault, is_device, is_machine, is_memory
from sparknlp_ft.scoring.processing import Processed, Processing
from sparknlp_ft.scoring.rows import score_rows
from sparknlp_ft.tasks import Setup, Task, get_task
from tests.tiny import tiny_classifier_dir, tiny_texts

ROWS = 1024
TEXTS = [f"text {i}" for i in range(ROWS)]
CUDA = "CUDA error: an illegal memory access was encountered"

#: Given the number of the call and its texts: what goes wrong there, if anything.
Fault = Callable[[int, Sequence[str]], Exception | None]


class Faulty:
    """An engine that fails where it is told to, and counts its calls and the rows of each."""

    def __init__(self, fault: Fault) -> None:
        self.fault, self.calls = fault, []

    calls: list[int]

    @property
    def setup(self) -> Setup:
        return Setup(("no", "yes"))

    @property
    def task(self) -> Task:
        return get_task("classification")

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, rows: Sequence[int] | None = None) -> Scored:
        self.calls.append(len(texts))
        if (error := self.fault(len(self.calls), texts)) is not None:
            raise error
        values = np.asarray([[0.0, float(len(text))] for text in texts], dtype=np.float32)
        return Scored(values, np.zeros(len(texts), bool), np.ones(len(texts), np.int64))


@pytest.mark.parametrize(
    ("error", "most"),
    [
        (RuntimeError(CUDA), 2),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 2),
        (MemoryError(), 2),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), 2),
        (OSError("Stale file handle"), 12),
        (ValueError("whatever the text"), 12),
    ],
    ids=str,
)
def test_an_error_for_ever_fails_the_task_after_few_calls(error: Exception, most: int) -> None:
    engine = Faulty(lambda call, texts: error)
    with pytest.raises(MachineFault, match=re.escape(str(error) or "MemoryError")):
        score_rows(engine, [TEXTS])
    assert len(engine.calls) <= most


def test_an_error_on_every_text_but_the_good_one_fails_the_task_after_few_calls() -> None:
    engine = Faulty(lambda call, texts: ValueError("no") if any(text in set(TEXTS) for text in texts) else None)
    with pytest.raises(MachineFault, match="9 texts that have nothing in common"):
        score_rows(engine, [TEXTS])
    assert len(engine.calls) <= 11 + 1 + 8


@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_device_error_once_leaves_no_row_in_error(call: int) -> None:
    """In the second and third call there is something to call for only because the first failed as well."""
    engine = Faulty(lambda number, texts: RuntimeError(CUDA) if number in {1, call} and number != 2 else None)
    result = score_rows(engine, [TEXTS])
    assert (result["status"] == "ok").all() and result["label"].notna().all()
    assert len(engine.calls) <= 6


def test_a_device_that_dies_in_the_middle_fails_the_task() -> None:
    """It gives up while a row at fault is looked for, with words that nobody knows."""
    engine = Faulty(lambda call, texts: ValueError("bad text" if call < 6 else "?!") if call >= 6 or TEXTS[0] in texts else None)
    with pytest.raises(MachineFault):
        score_rows(engine, [TEXTS])
    assert len(engine.calls) <= 16


@pytest.mark.parametrize("holds", [1, 7, 300])
def test_batches_that_do_not_fit_into_memory_are_halved(holds: int) -> None:
    engine = Faulty(lambda call, texts: MemoryError() if len(texts) > holds else None)
    result = score_rows(engine, [TEXTS])
    assert (result["status"] == "ok").all()
    # A probe at each failure; as many failures as inner nodes of the tree that is cut.
    leaves = 2 ** int(np.ceil(np.log2(ROWS / holds)))
    assert len(engine.calls) <= 3 * leaves


def test_one_row_that_memory_never_suffices_for_is_marked_with_its_error() -> None:
    engine = Faulty(lambda call, texts: MemoryError("huge") if TEXTS[5] in texts else None)
    result = score_rows(engine, [TEXTS])
    assert result.index[result["status"] == "error"].tolist() == [5]
    assert re.search(MACHINE_WORDS, result["error"][5]), "so that the next run tries it again"


def test_rows_at_fault_cost_a_bounded_number_of_calls() -> None:
    bad = set(TEXTS[::100])
    engine = Faulty(lambda call, texts: ValueError("bad") if bad & set(texts) else None)
    result = score_rows(engine, [TEXTS])
    assert set(result.index[result["status"] == "error"]) == set(range(0, ROWS, 100))
    halving = 2 * len(bad) * int(np.ceil(np.log2(ROWS)))
    assert len(engine.calls) <= halving + len(bad) + 8


def test_equal_texts_that_fail_are_no_witnesses_against_the_machine() -> None:
    texts = ["bad"] * 50 + [f"good {i}" for i in range(50)]
    result = score_rows(Faulty(lambda call, given: ValueError("bad") if "bad" in given else None), [texts])
    assert (result["status"] == "error").sum() == 50
    assert (score_rows(Faulty(lambda call, given: ValueError("bad") if "bad" in given else None), [texts[:50]])["status"] == "error").all()


def test_a_machine_without_memory_for_a_users_function_fails_the_task_and_its_own_errors_do_not() -> None:
    calls = []

    def failing(error: Exception) -> Processing:
        def preprocess(frame: object) -> object:
            calls.append(frame)
            raise error

        return Processing(("text",), "label string, score double, scores map<string,double>", preprocess=preprocess)

    with pytest.raises(MachineFault, match="MemoryError"):
        Processed(Faulty(lambda call, texts: None), failing(MemoryError())).score([TEXTS])
    assert len(calls) <= 11 + 8
    result = Processed(Faulty(lambda call, texts: None), failing(KeyError("name"))).score([TEXTS[:20]])
    assert (result["status"] == "error").all() and "preprocess raised KeyError" in result["error"][0]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TorchEngine:
    return load_engine(tiny_classifier_dir(tmp_path_factory.mktemp("model")), batch_tokens=512, precision="float32", device="cpu")


def test_a_batch_without_memory_is_halved_in_the_engine_and_results_stay(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    texts = tiny_texts(60, seed=5)
    before = engine.predict(texts).results
    sizes: list[int] = []
    forward = TorchRuntime._forward

    def tight(self: TorchRuntime, batch: Batch) -> torch.Tensor:
        sizes.append(len(batch[1].windows))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, batch)

    monkeypatch.setattr(TorchRuntime, "_forward", tight)
    np.testing.assert_allclose(engine.predict(texts).results, before, atol=2e-5)
    assert len(sizes) <= 60 * 2


def test_errors_are_told_by_their_words() -> None:
    import torch

    memory = [
        MemoryError(),
        torch.OutOfMemoryError("x"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ]
    device = [
        RuntimeError(CUDA),
        RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED"),
        RuntimeError("HIP error: invalid"),
        RuntimeError("NCCL error"),
    ]
    rows = [ValueError("bad value"), RuntimeError("shapes do not fit"), KeyError("memory of a card"), RuntimeError("CUDA is not available")]
    assert all(is_memory(error) and not is_device(error) for error in memory)
    assert all(is_device(error) and not is_memory(error) for error in device)
    assert not any(is_machine(error) for error in rows)
