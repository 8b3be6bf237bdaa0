"""Reading the YAML files of this package: definitions, layouts, code lists."""

from collections.abc import Iterator
from importlib import resources
from typing import Any


def parse_yaml(text: str) -> Any:
    """The one document in a YAML text: plain data only, as both loaders are safe. Raises yaml.YAMLError.

    libyaml is used where PyYAML was built with it: it is ten times faster, and there are some three thousand lines.
    """
    import yaml  # here, so that the command line answers before anything is read

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def yaml_files(package: str) -> Iterator[tuple[str, str]]:
    """The YAML files of a package in order of name: name without ending, text. Those that begin with _ are left out."""
    for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml") and not file.name.startswith("_"):
            yield file.name.removesuffix(".yaml"), file.read_text("utf-8")
