"""Pure text handling, shared by training and scoring: tokens, windows, batches. Needs no Spark and no torch."""
