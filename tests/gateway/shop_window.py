"""The catalogue's pages as a test reads them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

from django.db import transaction
from django.test import Client

from gateway.offers import Offer, offers_by_slug


def page(path: str, browser: Client | None = None, status: int = 200) -> str:
    response = (browser or Client()).get(path)
    assert response.status_code == status, path
    return unescape(response.content.decode())


def offer(slug: str) -> Offer:
    return offers_by_slug([slug])[0]


def shown(html: str) -> list[str]:
    """The models in a list, in its order."""
    return re.findall(r'<code id="id-\d+">([^<]+)</code>', html)


@contextmanager
def undone() -> Iterator[None]:
    """The catalogue is everybody's: what a test changes in it is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
