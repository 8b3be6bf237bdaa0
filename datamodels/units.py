"""The UN/CEFACT unit codes (Recommendation 20) that the models and adapters use.

`A97` is the hectopascal; `HPA`, which is often written for it, is a hectolitre of pure alcohol.
"""

from types import MappingProxyType
from typing import Final

UNITS: Final = MappingProxyType(
    {
        "2N": "dB",
        "59": "ppm",
        "A97": "hPa",
        "CEL": "℃",
        "CMT": "cm",
        "D54": "W/m²",
        "DD": "°",
        "GP": "mg/m³",
        "GQ": "µg/m³",
        "HUR": "h",
        "KMH": "km/h",
        "KWH": "kWh",
        "LUX": "lx",
        "MIN": "min",
        "MMT": "mm",
        "MQH": "m³/h",
        "MQS": "m³/s",
        "MTK": "m²",
        "MTQ": "m³",
        "MTR": "m",
        "MTS": "m/s",
        "P1": "%",
        "R9": "1000 m³",
        "VLT": "V",
        "WTT": "W",
    }
)
"""Unit symbols by code."""
