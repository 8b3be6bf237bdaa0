"""Devices of FIWARE estates: UltraLight 2.0 and IoT Agent JSON over HTTP and MQTT, and the API that provisions them."""
