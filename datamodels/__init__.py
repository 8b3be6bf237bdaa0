"""The shared vocabulary: models, @contexts, code lists."""

from datamodels.files import contexts, schema
from datamodels.model import CONTEXT_URL, Attribute, InvalidModel, Model, model_of, models

__all__ = ["CONTEXT_URL", "Attribute", "InvalidModel", "Model", "contexts", "model_of", "models", "schema"]
