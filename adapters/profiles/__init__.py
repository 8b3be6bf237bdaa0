"""The profiles, one YAML file a layout."""
