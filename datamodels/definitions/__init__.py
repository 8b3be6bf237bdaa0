"""The models, one YAML file a type: the only place where types and attributes are written by hand."""
