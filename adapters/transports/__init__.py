"""How bytes come in: files, polls, pushes and MQTT. A transport knows nothing of what is in them."""
