"""LoRaWAN devices, as their network servers tell of them: ChirpStack v4 and The Things Stack v3 -> entities."""
