"""Floor 4: temporal history, written from the change log."""
