"""The part of the configuration that says what ``ingest`` reads, and how its rows become those of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sparknlp_ft.config.section import Section


class LabelsConfig(Section):
    """Where the labels of a multi-label row stand; written as ``labels``, an array of strings."""

    column: str | None = Field(None, description="Column that holds all of them: an array, or a string cut at the separator.")
    separator: str = Field(",", min_length=1)
    columns: list[str] | None = Field(None, min_length=1, description="One 0/1 column per label, named like it.")

    @model_validator(mode="after")
    def _one_form(self) -> LabelsConfig:
        if (self.column is None) == (self.columns is None):
            raise ValueError("give either column: NAME (labels joined in one column) or columns: [A, B, …] (one 0/1 column per label)")
        return self


class KeepConfig(Section):
    """Which rows of a source are kept: those whose column has one of the values."""

    column: str
    values: list[str | int | float | bool] | None = None
    file: str | None = Field(None, description="The values: one per line, a JSON list, or a JSON object of lists.")
    key: str | None = Field(None, description="Which list of the JSON object.")

    @model_validator(mode="after")
    def _one_form(self) -> KeepConfig:
        if (self.values is None) == (self.file is None):
            raise ValueError("give either values: [A, B, …] or file: PATH")
        return self


class SourceConfig(Section):
    """One input of ``ingest``: local files, or a data set of the Hugging Face Hub."""

    format: Literal["csv", "tsv", "alpha_tsv", "jsonl", "json", "parquet", "conll", "squad", "snips", "lines", "hub"]
    path: str = Field(description="File, folder or glob; for format 'lines' a folder, for 'hub' the data set's name.")
    split: str | None = Field(None, description="Value of the split column for these rows; for 'hub' also the split to load.")
    hash_split: dict[str, float] = Field(
        {}, description="Shares cut off by hash of the text, e.g. {test: 0.2}; the rest is 'split' or train."
    )
    name: str | None = Field(None, description="Configuration name of a Hub data set.")
    revision: str | None = Field(None, description="Revision of a Hub data set.")
    header: bool = Field(True, description="Whether csv and tsv files begin with column names; alpha_tsv finds out by itself.")
    columns: list[str] | None = Field(None, description="Column names for files that have no header, or instead of it.")
    encoding: str = "utf-8"
    quote: str | None = Field('"', description="null: quotes are ordinary characters, as they are in alpha_tsv by default.")
    delimiter: str | None = None
    files: dict[str, str] = Field({}, description="For 'lines': column → file below path, a row per line, e.g. {text: s1, label: l}.")
    tag: str | None = Field(None, description="For 'conll': which of the columns is the tag; default: the last.")
    label_map: str | list[str] | dict[str, str] | None = Field(
        None, description="Label → name: a mapping, names in the order of label numbers, or a file of either (JSON, or a name per line)."
    )
    labels: LabelsConfig | None = Field(None, description="Multi-label: {column: NAME, separator: ','} or {columns: [A, B, …]}.")
    entities: dict[Literal["tokens", "tags"], str] | None = Field(None, description="Columns of token and tag lists: {tokens: A, tags: B}.")
    join: dict[str, str] = Field({}, description="New column → column of a list of strings, which is joined by blanks.")
    references: str | None = Field(None, description="Column that lists the summaries of a text; the first becomes 'summary'.")
    keep: KeepConfig | None = Field(None, description="Rows to keep: {column: C, values: [A, …]} or {column: C, file: F, key: K}.")

    @model_validator(mode="before")
    @classmethod
    def _quotes_of_alpha_tsv(cls, values: Any) -> Any:
        plain = isinstance(values, dict) and values.get("format") == "alpha_tsv" and "quote" not in values
        return {**values, "quote": None} if plain else values

    @field_validator("label_map", mode="before")
    @classmethod
    def _numbers_are_names_too(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {str(key).lower() if isinstance(key, bool) else str(key): name for key, name in value.items()}

    @field_validator("quote", "delimiter", mode="after")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and len(value) != 1:
            raise ValueError(f"{value!r} — expected one character, or null")
        return value

    @model_validator(mode="after")
    def _fits_its_format(self) -> SourceConfig:
        if (self.format == "lines") != bool(self.files):
            raise ValueError("files: {COLUMN: FILE, …} belongs to format 'lines', and that format needs it")
        if self.entities is not None and len(self.entities) != 2:
            raise ValueError("entities: name both columns, {tokens: COLUMN, tags: COLUMN}")
        if any(share <= 0 for share in self.hash_split.values()) or sum(self.hash_split.values()) >= 1:
            raise ValueError(f"hash_split: {self.hash_split} — expected shares above 0 that leave rows for the rest, e.g. {{test: 0.2}}")
        return self

    def placed(self, fix: Callable[[str | None], str | None]) -> SourceConfig:
        """Return the source with its local paths made absolute by ``fix``."""
        keep = self.keep and self.keep.model_copy(update={"file": fix(self.keep.file)})
        label_map = fix(self.label_map) if isinstance(self.label_map, str) else self.label_map
        path = self.path if self.format == "hub" else fix(self.path)
        return self.model_copy(update={"path": path, "keep": keep, "label_map": label_map})
