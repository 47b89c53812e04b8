"""The Spark side: the session, Delta tables by version, their contracts, sources of rows, and the tokenised snapshot."""
