"""Floor 3.5: the library of @contexts (5.13): built in, hosted, cached from the web, and implicitly created."""
