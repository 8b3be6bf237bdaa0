"""The @contexts and JSON Schemas made from the models: `python -m datamodels` writes them, nobody edits them."""
