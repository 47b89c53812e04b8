"""What can be checked before anything is started: libraries that settings need, and all problems told at once."""

from __future__ import annotations

import pytest

from sparknlp_ft.config import Config
from sparknlp_ft.errors import ConfigError, ModelError
from sparknlp_ft.steps import checks


@pytest.mark.parametrize(
    ("settings", "lacking", "message"),
    [
        ({"launch": {"ranks": 2}}, "horovod", "launch.backend=torch"),
        ({"launch": {"backend": "horovod"}}, "horovod", "launch.backend=torch"),
        ({"launch": {"ranks": 1}}, "horovod", None),
        ({"launch": {"backend": "torch"}}, "petastorm", "pip install --no-deps petastorm==0.13.1, or set launch.reader=arrow"),
        ({"launch": {"backend": "solo", "reader": "arrow"}, "model": {"tuning": "lora"}}, "peft", r"sparknlp-ft\[train\]"),
        ({"launch": {"backend": "solo", "reader": "arrow"}}, "horovod", None),
    ],
)
def test_a_library_that_is_not_there_is_named_with_its_recipe(
    settings: dict, lacking: str, message: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == lacking else object())
    config = Config.model_validate({"data": {"table": "t"}, **settings})
    if message is None:
        checks.check_libraries(config)
        return
    with pytest.raises(ConfigError, match=message):
        checks.check_libraries(config)


def test_problems_are_told_together_and_one_alone_as_it_is() -> None:
    config = Config.model_validate({"data": {"table": "t"}})

    def fails(config: Config) -> None:
        raise ModelError("no model")

    def fails_too(config: Config) -> None:
        raise ConfigError("no setting")

    assert checks.together(config, lambda one: ["a"], lambda one: None, lambda one: ["b"]) == ["a", "b"]
    with pytest.raises(ModelError, match="^no model$"):
        checks.together(config, fails, lambda one: ["a"])
    with pytest.raises(ConfigError, match="2 problems:\n  no model\n  no setting"):
        checks.together(config, fails, fails_too)
