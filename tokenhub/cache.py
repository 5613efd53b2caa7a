"""Redis as a cache that may be lost at any time: without it a look-up finds nothing and a write is forgotten."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

log = logging.getLogger("tokenhub.cache")


class ForgetfulRedisCache(RedisCache):
    """Rate limits fail open with it: a portal that cannot log anybody in is worse than one that counts no attempts for a while."""

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        try:
            return super().get(key, default, version)
        except RedisError as e:
            log.warning("cache not readable: %s", e)
            return default

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().set(key, value, *args, **kwargs)
        except RedisError as e:
            log.warning("cache not writable: %s", e)

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        try:
            return bool(super().add(key, value, *args, **kwargs))
        except RedisError as e:
            log.warning("cache not writable: %s", e)
            return True

    def delete(self, key: Any, version: int | None = None) -> bool:
        try:
            return bool(super().delete(key, version))
        except RedisError as e:
            log.warning("cache not writable: %s", e)
            return False
