"""Commands to devices: from a PATCH at the broker to a carrier, and from the device's answer back into the broker."""
