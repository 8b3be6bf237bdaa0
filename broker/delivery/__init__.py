"""Floor 4: changes -> subscriptions -> notifications over HTTP and MQTT, from durable cursors (design §7)."""
