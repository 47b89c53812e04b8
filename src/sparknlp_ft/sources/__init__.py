"""Readers: files of every format and Hub data sets → rows in Spark, each with its place."""
