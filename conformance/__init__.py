"""A black-box conformance suite for NGSI-LD brokers (ETSI GS CIM 009 V1.9.1), by clause, and the ledger of what it asserts."""
