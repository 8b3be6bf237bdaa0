"""Floor 1: the NGSI-LD information model as plain data. Pure: no I/O, no clock, no asyncio."""
