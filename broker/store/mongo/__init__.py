"""The production store: MongoDB, driven by PyMongo's asyncio API."""
