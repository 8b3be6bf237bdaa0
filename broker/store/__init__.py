"""Floor 3: where state rests. `Store` is the small protocol; `sqlite/` and `mongo/` keep it, `writer` feeds it."""
