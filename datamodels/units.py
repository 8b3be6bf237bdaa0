"""The UN/CEFACT unit codes (Recommendation 20) that the models and adapters use.

`A97` is the hectopascal; `HPA`, which is often written for it, is a hectolitre of pure alcohol.
"""

from types import MappingProxyType
from typing import Final

from datamodels.code_lists import code_lists

UNITS: Final = MappingProxyType({code: str(meaning["symbol"]) for code, meaning in code_lists()["units"].codes.items()})
"""Unit symbols by code."""
