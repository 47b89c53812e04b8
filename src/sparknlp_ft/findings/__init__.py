"""What a table's rows are like, before anything is learned from them: all that was found, in one list."""
