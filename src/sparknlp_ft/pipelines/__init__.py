"""What each job does, as few readable lines: ingest, train, score, evaluate."""
