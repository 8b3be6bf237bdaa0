"""What the Japan Meteorological Agency (気象庁) publishes: disaster telegrams and AMeDAS observations -> entities."""
