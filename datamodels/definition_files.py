"""Reading the YAML files of this package: definitions, layouts, code lists."""

from collections.abc import Iterator
from importlib import resources
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: ten times faster, and there are some three thousand lines."""


def parse_yaml(text: str) -> Any:
    """The one document in a YAML text: plain data only, as both loaders are safe. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=_LOADER)


def yaml_files(package: str) -> Iterator[tuple[str, str]]:
    """The YAML files of a package in order of name: name without ending, text. Those that begin with _ are left out."""
    for file in sorted(resources.files(package).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml") and not file.name.startswith("_"):
            yield file.name.removesuffix(".yaml"), file.read_text("utf-8")
