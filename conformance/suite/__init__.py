"""The tests, one file for each group of clauses."""
