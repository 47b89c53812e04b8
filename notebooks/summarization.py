# Databricks notebook source
# MAGIC %md
# MAGIC # A text from a text
# MAGIC
# MAGIC The target is the text to be written: here the queue and the first words of the message. The base model must be one that writes, such as T5 or BART: a name on the Hugging Face Hub, or a folder.
# MAGIC
# MAGIC Written by `scripts/write_notebooks.py`; `quickstart` says more of each step.

# COMMAND ----------

# Where the example's table, runs and models go (on Databricks: a Volume), its rows, and the model to start from.
FOLDER = "summarization"
TICKETS = "examples/tickets.csv"
BASE = "google-t5/t5-small"

# COMMAND ----------

# On Databricks `spark` is there already; elsewhere this starts a session with Delta Lake.
from sparknlp_ft.tables.session import get_session

spark = get_session("summarization")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. The table
# MAGIC A Delta table with a unique key; with one of your own, leave this out.

# COMMAND ----------

import csv

rows = []
for one in csv.DictReader(open(TICKETS, encoding="utf-8")):
    number, body, queue = int(one["ticket_id"]), one["body"], one["queue"]
    rows.append((number, body, f"{queue}: {' '.join(body.split()[:5])}"))
table = spark.createDataFrame(rows, "ticket_id long, body string, summary string")
table.write.format("delta").mode("overwrite").save(f"{FOLDER}/lake/tickets")
table.show(3, truncate=80)

# COMMAND ----------

import sparknlp_ft as ft

common = {
    "table": "tickets",
    "task": "summarization",
    "key": "ticket_id",
    "root": f"{FOLDER}/lake",
    "launch": {"run_dir": f"{FOLDER}/runs", "backend": "solo"},
    "tracking": {"uri": f"sqlite:///{FOLDER}/mlflow.db", "experiment": "summarization", "gate": "alias"},
} | dict(text="body", summary="summary")
settings = {"train.epochs": 2, "train.batch_size": 16, "text.max_length": 64, "text.prefix": "summarize: ", "generate.max_new_tokens": 16, "data.validation_fraction": 0.2}

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
spark.read.format("delta").load(scored.output).select("ticket_id", "summary", "status").orderBy("ticket_id").show(5, truncate=80)
scored
