"""The way to the page where one pays: Stripe's, or that of the test checkout."""

from django.conf import settings
from django.urls import reverse


def way_to(url: str) -> str:
    """``url`` of a Checkout session as the browser reaches it. The page of the test checkout is on this site, and the
    browser may know us by another name than the one that was configured (127.0.0.1 beside localhost), under which alone it
    is signed in: so only the path is used."""
    return reverse("test_checkout", args=[url.rpartition("/")[2]]) if settings.TEST_CHECKOUT else url
