"""API keys: ``th-`` + 10 characters of id + 43 of secret + 6 of checksum, all base62.

The secret holds more than 256 bits (62^43 > 2^256), so a plain SHA-256 of the key is a safe thing to store. The checksum
(CRC-32 of all before it) lets a mistyped or invented key be refused without a query, and lets scanners find leaked keys.
"""

import hashlib
import re
import zlib
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models.functions import Now

from accounts.models import Account, ApiKey, AuditEvent, User
from tokenhub.ids import base62, random_base62

ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 10, 43, 6
_SHAPE = re.compile(rb"th-[0-9A-Za-z]{%d}" % (ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH))


class IssuedKey(NamedTuple):
    row: ApiKey
    secret: str  # the whole key, to be shown once and never stored


def new_key() -> str:
    body = random_base62(ID_LENGTH + SECRET_LENGTH)
    return f"th-{body}{_checksum(b'th-' + body.encode())}"


def _checksum(body: bytes) -> str:
    return base62(zlib.crc32(body), CHECKSUM_LENGTH)


def hash_of(key: bytes) -> bytes | None:
    """The stored hash for a well-formed key; None, without any query, for everything else."""
    if _SHAPE.fullmatch(key) is None or _checksum(key[:-CHECKSUM_LENGTH]).encode() != key[-CHECKSUM_LENGTH:]:
        return None
    return hashlib.sha256(key).digest()


def find(key: str) -> ApiKey | None:
    """The live key for a management call. (The gateway's own calls are decided by the admitting statement.)"""
    digest = hash_of(key.encode())
    if digest is None:
        return None
    return (
        ApiKey.objects.select_related("account")
        .filter(hash=digest, revoked_at=None)
        .exclude(expires_at__lte=Now())
        .first()
    )


@transaction.atomic
def issue(
    *,
    account: Account,
    name: str,
    created_by: User | None = None,
    limit_nanos: int | None = None,
    limit_window: str = ApiKey.Window.TOTAL,
    expires_at: datetime | None = None,
    rpm_limit: int | None = None,
) -> IssuedKey:
    secret = new_key()
    digest = hash_of(secret.encode())
    assert digest is not None  # noqa: S101 - what new_key makes is well-formed
    row = ApiKey.objects.create(
        public_id=secret[3 : 3 + ID_LENGTH],
        hash=digest,
        last4=secret[-4:],
        name=name,
        account=account,
        created_by=created_by,
        limit_nanos=limit_nanos,
        limit_window=limit_window,
        expires_at=expires_at,
        rpm_limit=rpm_limit,
    )
    AuditEvent.objects.create(account=account, actor=created_by, action="key.created", subject=row.key_id)
    return IssuedKey(row, secret)


@transaction.atomic
def revoke(*, key_id: str, account: Account | None = None, actor: User | None = None) -> ApiKey | None:
    """Dead for every process at once: admission reads this row. None if there is no such key (of that account).

    The row count decides a race: only the first revocation is recorded, a later one changes nothing.
    """
    keys = ApiKey.objects.filter(public_id=key_id.removeprefix("key-"))
    if account is not None:
        keys = keys.filter(account=account)
    won = keys.filter(revoked_at=None).update(revoked_at=Now())
    row = keys.select_related("account").first()
    if won and row is not None:
        AuditEvent.objects.create(account=row.account, actor=actor, action="key.revoked", subject=row.key_id)
    return row
