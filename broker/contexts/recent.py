"""A memory of bounded size that forgets what was not used for longest."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """At most `most` values whose sizes add up to at most `capacity`."""

    def __init__(self, most: int, capacity: int) -> None:
        self._most = most
        self._capacity = capacity
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._size = 0

    def get(self, key: Key) -> Value | None:
        """The value under this key, which now counts as used."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        """Remember a value; one that is larger than the whole memory is not kept."""
        self.drop(key)
        if size > self._capacity:
            return
        self._values[key] = (value, size)
        self._size += size
        while len(self._values) > self._most or self._size > self._capacity:
            self._size -= self._values.popitem(last=False)[1][1]

    def drop(self, key: Key) -> None:
        """Forget one value."""
        found = self._values.pop(key, None)
        if found is not None:
            self._size -= found[1]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._size = 0

    def items(self) -> Iterator[tuple[Key, Value]]:
        """All values by key. None of them counts as used by that."""
        for key, (value, _) in self._values.items():
            yield key, value

    def __iter__(self) -> Iterator[Key]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)
