"""Tsunagu's NGSI-LD context broker (ETSI GS CIM 009 V1.9.1), built in floors: see docs/architecture.md."""

__version__ = "0.1.0"
