"""API keys: ``th-`` + 10 characters of id + 43 of secret + 6 of checksum, all base62.

The secret holds more than 256 bits (62^43 > 2^256), so a plain SHA-256 of the key is a safe thing to store. The checksum
(CRC-32 of all before it) lets a mistyped or invented key be refused without a query, and lets scanners find leaked keys.
"""

import hashlib
import re
import zlib
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Least, Now

from accounts.models import Account, ApiKey, AuditEvent, Membership, User
from accounts.powers import POWERS, Power
from tokenhub.ids import base62, random_base62

ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH = 10, 43, 6
_SHAPE = re.compile(rb"th-[0-9A-Za-z]{%d}" % (ID_LENGTH + SECRET_LENGTH + CHECKSUM_LENGTH))
_ROTATED = " (rotated)"


class Rules(TypedDict, total=False):
    """What a key may do. Absent at its making means unlimited."""

    limit_nanos: int | None
    limit_window: str
    expires_at: datetime | None
    rpm_limit: int | None
    allowed_model_ids: list[int] | None
    ip_ranges: list[str] | None  # CIDR


class IssuedKey(NamedTuple):
    row: ApiKey
    secret: str  # the whole key, to be shown once and never stored


# ---------------------------------------------------------------- the key itself


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


# ---------------------------------------------------------------- which keys


def usable(keys: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
    """Those that admission takes now; limits are another matter."""
    return keys.filter(revoked_at=None).exclude(disabled_at__lte=Now()).exclude(expires_at__lte=Now())


def find(key: str) -> ApiKey | None:
    """The live key for a management call. (The gateway's own calls are decided by the admitting statement.)"""
    digest = hash_of(key.encode())
    if digest is None:
        return None
    return usable(ApiKey.objects.select_related("account").filter(hash=digest)).first()


def seen_by(member: Membership) -> QuerySet[ApiKey]:
    """The keys that a member may look at: the team's, their own, or none."""
    powers, keys = POWERS[member.role], ApiKey.objects.filter(account=member.account)
    if Power.SEE_TEAM_KEYS in powers:
        return keys
    return keys.filter(created_by_id=member.user_id) if Power.MAKE_KEYS in powers else keys.none()


def may_change(member: Membership, key: ApiKey) -> bool:
    powers = POWERS[member.role]
    return Power.MANAGE_TEAM_KEYS in powers or (Power.MAKE_KEYS in powers and key.created_by_id == member.user_id)


# ---------------------------------------------------------------- verbs: the row count of an UPDATE decides every race


@transaction.atomic
def issue(
    *, account: Account, name: str, created_by: User | None = None, tool: str = "", **rules: Unpack[Rules]
) -> IssuedKey:
    issued = _insert(account=account, name=name, created_by=created_by, tool=tool, **rules)
    _record(issued.row, "key.created", created_by)
    return issued


@transaction.atomic
def issue_first(
    *, account: Account, name: str, created_by: User | None = None, **rules: Unpack[Rules]
) -> IssuedKey | None:
    """The account's very first key; None if it ever had one. Of two that ask at once one gets it: the account is locked."""
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    if account.api_keys.exists():
        return None
    return issue(account=account, name=name, created_by=created_by, **rules)


@transaction.atomic
def change(*, key: ApiKey, actor: User | None, name: str, **rules: Unpack[Rules]) -> bool:
    """New rules hold from the next call on. False for a revoked key, which stays as it is."""
    fields: dict[str, Any] = {"name": name, **rules}
    changed = {field: value for field, value in fields.items() if getattr(key, field) != value}
    if not changed:
        return key.revoked_at is None
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(**changed):
        return False
    _record(key, "key.changed", actor, {field: _plain(value) for field, value in changed.items()})
    return True


def rotate(*, key: ApiKey, actor: User | None, overlap: timedelta) -> IssuedKey | None:
    """A successor with the same rules; the key itself expires after the overlap, or at its own expiry if that is earlier.

    None for a key that is revoked, has expired or has a successor. Two rotations at once: the unique ``replaces`` lets
    one through.
    """
    try:
        with transaction.atomic():
            return _rotate(key, actor, overlap)
    except IntegrityError:
        return None


def _rotate(key: ApiKey, actor: User | None, overlap: timedelta) -> IssuedKey | None:
    own_expiry = key.expires_at
    end = ExpressionWrapper(Now() + overlap, DateTimeField())
    living = ApiKey.objects.filter(pk=key.pk, revoked_at=None, successor=None).exclude(expires_at__lte=Now())
    if not living.update(expires_at=Least(F("expires_at"), end)):
        return None
    issued = _insert(
        account=key.account,
        name=_successor_name(key.name),
        created_by=_successor_owner(key, actor),
        tool=key.tool,
        replaces=key,
        limit_nanos=key.limit_nanos,
        limit_window=key.limit_window,
        expires_at=own_expiry,
        rpm_limit=key.rpm_limit,
        allowed_model_ids=key.allowed_model_ids,
        ip_ranges=key.ip_ranges,
    )
    _record(
        key, "key.rotated", actor, {"successor": issued.row.key_id, "overlap_seconds": int(overlap.total_seconds())}
    )
    return issued


def _successor_name(name: str) -> str:
    length = ApiKey._meta.get_field("name").max_length or 0
    return name.removesuffix(_ROTATED)[: length - len(_ROTATED)] + _ROTATED


def _successor_owner(key: ApiKey, actor: User | None) -> User | None:
    """The owner keeps the key, unless they left the team: then it is whose who takes care of it."""
    owner = key.created_by
    stays = owner is not None and Membership.objects.filter(account_id=key.account_id, user=owner).exists()
    return owner if stays else actor


@transaction.atomic
def disable(*, key: ApiKey, actor: User | None) -> bool:
    """Its next call gets 401, in every process: admission reads this row. False if there was nothing to disable."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None, disabled_at=None).update(
        disabled_at=Now(), disabled_by=actor
    ):
        return False
    _record(key, "key.disabled", actor)
    return True


@transaction.atomic
def enable(*, key: ApiKey, actor: User | None) -> bool:
    living = ApiKey.objects.filter(pk=key.pk, revoked_at=None).exclude(disabled_at=None)
    if not living.update(disabled_at=None, disabled_by=None):
        return False
    _record(key, "key.enabled", actor)
    return True


@transaction.atomic
def delete(*, key: ApiKey, actor: User | None) -> bool:
    """Revokes, for good, a key that has already stopped working. False for one that still works, or is revoked."""
    stopped = ApiKey.objects.filter(pk=key.pk, revoked_at=None).filter(
        Q(disabled_at__isnull=False) | Q(expires_at__lte=Now())
    )
    if not stopped.update(revoked_at=Now()):
        return False
    _record(key, "key.revoked", actor)
    return True


@transaction.atomic
def revoke(*, key_id: str, account: Account | None = None, actor: User | None = None) -> ApiKey | None:
    """Dead for every process at once, whatever its state. None if there is no such key (of that account).

    Only the first revocation is recorded, a later one changes nothing.
    """
    keys = ApiKey.objects.filter(public_id=key_id.removeprefix("key-"))
    if account is not None:
        keys = keys.filter(account=account)
    won = keys.filter(revoked_at=None).update(revoked_at=Now())
    row = keys.select_related("account").first()
    if won and row is not None:
        _record(row, "key.revoked", actor)
    return row


# ---------------------------------------------------------------- steps


def _insert(**fields: Any) -> IssuedKey:
    secret = new_key()
    row = ApiKey.objects.create(
        public_id=secret[3 : 3 + ID_LENGTH], hash=hash_of(secret.encode()), last4=secret[-4:], **fields
    )
    return IssuedKey(row, secret)


def _record(key: ApiKey, action: str, actor: User | None, detail: dict[str, Any] | None = None) -> None:
    AuditEvent.objects.create(
        account_id=key.account_id, actor=actor, action=action, subject=key.key_id, detail=detail or {}
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
