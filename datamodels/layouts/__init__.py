"""The layouts of the municipal datasets, one YAML file a dataset: which columns there are, in which order."""
