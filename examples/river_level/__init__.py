"""A day of river levels replayed into a broker, and every crossing of a gauge's own thresholds notified."""
