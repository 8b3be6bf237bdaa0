"""A whole city in one broker: open data, weather, a day of river levels, gauges, and what became of each row of them."""
