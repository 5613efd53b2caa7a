"""Prompt caching as Anthropic does it, without expiry and from the first token: a prefix is written once, then read."""

import dataclasses
import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from gateway.sandbox.usage import CacheUse

PREFIXES_MOST = 10_000
ONE_HOUR = "1h"


@dataclasses.dataclass(frozen=True)
class Block:
    """A part of a prompt; ``ttl`` ("5m" or "1h") where a prefix to be cached ends with it."""

    content: bytes
    tokens: int
    ttl: str | None


class PromptCache:
    """The prefixes that were written since the start."""

    def __init__(self) -> None:
        self._written: OrderedDict[bytes, None] = OrderedDict()

    def forget(self) -> None:
        self._written.clear()

    def use(self, model: str, blocks: Sequence[Block]) -> CacheUse:
        """Reads the longest known prefix that ends at or before the last breakpoint, and writes what goes beyond it."""
        prefix = hashlib.blake2b(model.encode(errors="replace"))
        total = read = 0
        ends: list[tuple[int, str, bytes]] = []
        last = max((index for index, block in enumerate(blocks) if block.ttl), default=-1)
        for block in blocks[: last + 1]:
            prefix.update(hashlib.blake2b(block.content).digest())
            total += block.tokens
            key = prefix.digest()
            if key in self._written:
                read = total
            if block.ttl:
                ends.append((total, block.ttl, key))
        return self._write(read, ends)

    def _write(self, read: int, ends: list[tuple[int, str, bytes]]) -> CacheUse:
        written = {"5m": 0, ONE_HOUR: 0}
        position = read
        for total, ttl, key in ends:
            written[ttl] += max(0, total - position)
            position = max(position, total)
            self._written[key] = None
            self._written.move_to_end(key)
        while len(self._written) > PREFIXES_MOST:
            self._written.popitem(last=False)
        return CacheUse(read, sum(written.values()), written[ONE_HOUR])
