"""Scoring: an engine turns texts into logits, a pandas_udf runs it over a table, a MERGE writes what changed."""
