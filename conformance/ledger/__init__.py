"""The ledger: one row for each clause of chapters 4 to 7, what it requires in our own words, and where that is implemented."""
