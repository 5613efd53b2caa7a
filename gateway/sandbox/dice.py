"""Choices that are the same every time for the same call."""

import hashlib
from collections.abc import Sequence


class Dice:
    """A sequence of choices that follows from a seed: no clock, no chance."""

    def __init__(self, *seed: str) -> None:
        self._state = hashlib.blake2b("\x1f".join(seed).encode(errors="replace")).digest()

    def number(self, below: int) -> int:
        self._state = hashlib.blake2b(self._state).digest()
        return int.from_bytes(self._state[:8]) % below

    def pick[T](self, options: Sequence[T]) -> T:
        return options[self.number(len(options))]
