"""The place of one worker among its fellows: what the supervisor hands to the process that it starts for it."""

import re
import socket
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Slot:
    """The worker's `number`, from 1 on, and the file descriptors that it inherits: of its sockets, and of its lifeline."""

    number: int
    sockets: tuple[int, ...]
    lifeline: int

    def __str__(self) -> str:
        return f"{self.number}:{','.join(map(str, self.sockets))}:{self.lifeline}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The slot of its text. Raises ValueError."""
        match = re.fullmatch(r"(\d+):(\d+(?:,\d+)*):(\d+)", text)
        if match is None:
            raise ValueError(f"{text!r} is no slot of a worker; the supervisor gives this option, nobody else")
        return cls(int(match[1]), tuple(map(int, match[2].split(","))), int(match[3]))

    def listening(self) -> list[socket.socket]:
        """The inherited sockets. Raises OSError where they were not inherited."""
        return [socket.socket(fileno=number) for number in self.sockets]
