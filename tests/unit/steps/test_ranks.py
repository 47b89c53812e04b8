"""What starts the ranks where nothing is said: the driver itself for one rank on its machine, and behind Spark Connect."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.errors import LaunchError
from sparknlp_ft.steps import ranks


class Remote:
    """Stands for a session of Spark Connect: it has settings, and no context."""

    __module__ = "pyspark.sql.connect.session"
    conf = SimpleNamespace(get=lambda name, default=None: default)


def launch_of(spark: Any, **launch: Any) -> tuple[int, str]:
    found = ranks.with_ranks(Config.model_validate({"data": {"table": "t"}, "launch": launch}), spark).launch
    return found.ranks, found.backend


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(ranks, "is_local", lambda spark: True)
    monkeypatch.setattr(ranks, "slots", lambda spark, wanted=0: 2)
    return object()


def test_one_rank_on_one_machine_is_the_driver(local: object) -> None:
    assert launch_of(local, ranks=1) == (1, "solo")
    assert launch_of(local, ranks=2) == (2, "horovod")
    assert launch_of(local, ranks=1, backend="horovod") == (1, "horovod")


def test_behind_spark_connect_the_driver_trains_and_more_ranks_are_refused_with_what_to_do() -> None:
    assert launch_of(Remote()) == (1, "solo")
    for launch in ({"ranks": 2}, {"ranks": 1, "backend": "horovod"}, {"backend": "torch"}):
        with pytest.raises(LaunchError, match=r"speaks Spark Connect.*launch\.ranks=1.*spark-submit.*torchrun"):
            launch_of(Remote(), **launch)
