"""Which adapters there are: everything that installed packages offer under the entry point `tsunagu.adapters`.

    [project.entry-points."tsunagu.adapters"]
    tide = "city_tides.adapter:TIDE"

The built-in adapters come in by the same door. A package whose adapter cannot be loaded keeps no other from being used.
"""

import difflib
import functools
import logging
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from adapters.contract import Adapter
from adapters.errors import UnknownAdapter

GROUP: Final = "tsunagu.adapters"

_LOG: Final = logging.getLogger(__name__)


@functools.cache
def installed() -> Mapping[str, Adapter[Any]]:
    """The adapters by name. What cannot be loaded, or is none, is said in the log and left out."""
    found: dict[str, Adapter[Any]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            adapter = point.load()
        except Exception as error:  # noqa: BLE001 - somebody else's module may fail in any way
            _LOG.error(
                "the adapter %s (%s) cannot be loaded: %s: %s", point.name, point.value, type(error).__name__, error
            )
            continue
        if not isinstance(adapter, Adapter) or adapter.name != point.name:
            _LOG.error("%s is no adapter of the name %s", point.value, point.name)
            continue
        found[point.name] = adapter
    return MappingProxyType(found)


def adapter_named(name: str) -> Adapter[Any]:
    """The adapter of that name. Raises UnknownAdapter."""
    known = installed()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0.6)
        hint = f"do you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        raise UnknownAdapter(f"no adapter is called {name!r}; {hint}")
    return known[name]
