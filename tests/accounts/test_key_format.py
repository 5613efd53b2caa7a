"""What a key is: unguessable, checkable without a query, stored as a hash alone."""

import hashlib
import math
import re

from django.db import connection
from django.forms.models import model_to_dict
from django.test.utils import CaptureQueriesContext

from accounts import keys
from accounts.models import ApiKey
from tests.accounts.people import key_for, person
from tokenhub.ids import BASE62


def mistyped(key: str, position: int) -> str:
    other = BASE62[(BASE62.index(key[position]) + 1) % 62]
    return key[:position] + other + key[position + 1 :]


def test_a_key_has_its_prefix_and_fifty_nine_base62_characters() -> None:
    assert re.fullmatch(r"th-[0-9A-Za-z]{59}", keys.new_key())


def test_the_secret_alone_is_beyond_guessing() -> None:
    assert len(set(BASE62)) == 62
    assert keys.SECRET_LENGTH * math.log2(62) > 256


def test_every_single_mistyped_character_is_refused_without_a_query() -> None:
    key = keys.new_key()
    with CaptureQueriesContext(connection) as queries:
        for position in range(3, len(key)):
            assert keys.find(mistyped(key, position)) is None
    assert len(queries) == 0


def test_other_shapes_are_refused_without_a_query() -> None:
    key = keys.new_key()
    with CaptureQueriesContext(connection) as queries:
        for text in [
            "",
            "th-",
            key[3:],
            key + "0",
            key[:-1],
            key.upper(),
            f" {key}",
            f"{key}\n",
            key.replace("th-", "sk-"),
            "é" * 62,
        ]:
            assert keys.find(text) is None
    assert len(queries) == 0


def test_a_well_formed_invented_key_is_nobodys() -> None:
    assert keys.find(keys.new_key()) is None


def test_only_the_hash_is_stored() -> None:
    issued = key_for(person())
    row = ApiKey.objects.get(pk=issued.row.pk)
    assert bytes(row.hash) == hashlib.sha256(issued.secret.encode()).digest()
    stored = " ".join(str(value) for value in model_to_dict(row).values())
    secret = issued.secret[3 + keys.ID_LENGTH : -keys.CHECKSUM_LENGTH]
    assert secret not in stored
    assert issued.secret[-4:] == row.last4
    assert row.key_id == f"key-{issued.secret[3:13]}"


def test_an_issued_key_finds_its_row_until_it_is_revoked() -> None:
    someone = person()
    issued = key_for(someone)
    found = keys.find(issued.secret)
    assert found is not None
    assert found.account == someone.account
    keys.revoke(key_id=issued.row.key_id)
    assert keys.find(issued.secret) is None
