"""The production store: MongoDB through PyMongo's asyncio API. `store.MongoStore` is the whole Store protocol."""
