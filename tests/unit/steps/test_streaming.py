"""Intervals between two looks at a table."""

from __future__ import annotations

import pytest

from sparknlp_ft.cli import parse
from sparknlp_ft.errors import ConfigError
from sparknlp_ft.steps.streaming import check_interval


@pytest.mark.parametrize("every", [None, "1 second", "30 seconds", "5 minutes", "1 hour"])
def test_intervals(every: str | None) -> None:
    check_interval(every)


@pytest.mark.parametrize("every", ["", "30", "0 seconds", "-1 seconds", "soon", "30 years", "1.5 minutes", "now"])
def test_what_is_no_interval_is_refused(every: str) -> None:
    with pytest.raises(ConfigError, match="--every: .* is not an interval"):
        check_interval(every)


def test_settings_may_stand_behind_the_options() -> None:
    given = parse(["score", "--stream", "data.table=t", "--every", "30 seconds", "score.where=x"])
    assert (given.stream, given.every, given.overrides) == (True, "30 seconds", ["data.table=t", "score.where=x"])
