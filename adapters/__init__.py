"""Protocols and formats -> entities: pure decoders, shared transports (design §8)."""
