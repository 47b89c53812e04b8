"""The part of the configuration that says what ``package`` makes a registered model of."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from sparknlp_ft.config.section import Section


class PackageConfig(Section):
    """A model that was not trained here, and the user's own functions around it."""

    model: str | None = Field(None, description="Folder, 'package:NAME/FOLDER', or Hub name of the model to package.")
    revision: str | None = None
    task: str | None = Field(None, description="What its head does; default: data.task.")
    processing: str | None = Field(
        None,
        description="Python file with preprocess(frame) and postprocess(frame, predictions), or one of them; it travels with the model.",
    )
    text_columns: dict[str, str] = Field(
        {}, description="Role → column that the model reads; default: {text: content}, and roles' own names where a task has two."
    )
    output: str | None = Field(
        None,
        description="Columns that postprocess returns, if they are not the task's: 'label string, n int'; '*' stands for the task's own.",
    )
    example: list[str] = Field(
        ["Angela Merkel met Barack Obama in Berlin.", "Where is my order? It never arrived."],
        min_length=1,
        description="Texts the packaged model is tried on; stored with it as its input example: give no confidential text.",
    )
    max_length: int | None = Field(None, ge=4, description="Tokens of a window; default: what the model takes, at most 512.")
    name: str | None = Field(None, description="Registered name; default: TASK-FOLDER.")
    alias: str | None = Field(None, description="Alias to point at the new version; default: none is moved.")

    def placed(self, fix: Callable[[str | None], str | None], fix_model: Callable[[str], str]) -> PackageConfig:
        """Return the section with its local paths made absolute."""
        return self.model_copy(update={"model": self.model and fix_model(self.model), "processing": fix(self.processing)})
