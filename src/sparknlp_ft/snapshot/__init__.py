"""The tokenised snapshot of a table version: built by Spark, described by its manifest, read by the ranks."""
