"""The shared vocabulary: models, @contexts, code lists, validation."""

from datamodels.code_lists import CodeList, code_lists
from datamodels.dataset import Dataset, datasets
from datamodels.errors import InvalidModel
from datamodels.files import CONTEXT_URL, contexts, schema
from datamodels.model import Attribute, Model, Target, model_of, models, models_of_dataset

__all__ = [
    "CONTEXT_URL",
    "Attribute",
    "CodeList",
    "Dataset",
    "InvalidModel",
    "Model",
    "Target",
    "code_lists",
    "contexts",
    "datasets",
    "model_of",
    "models",
    "models_of_dataset",
    "schema",
]
