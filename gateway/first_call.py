"""The first call with a key: what to send, and what came of it."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import OuterRef, Subquery

from accounts.models import ApiKey
from gateway.models import CallRecord, Model
from gateway.offers import Offer, all_offers
from tokenhub.ids import generation_id
from tokenhub.snippets import PROMPT

#: a call's record is written when it ends, the key's last use when it begins
CALL_LASTS_AT_MOST = timedelta(hours=1)
HTTP_ERRORS_BEGIN = 400


@dataclass(frozen=True)
class LatestCall:
    record: CallRecord
    model: str  # slug

    @property
    def id(self) -> str:
        return generation_id(self.record.pk.bytes)

    @property
    def is_ok(self) -> bool:
        return self.record.status < HTTP_ERRORS_BEGIN

    @property
    def seconds(self) -> str:
        """``0.41``; thousandths for the quickest."""
        whole, thousandths = divmod(self.record.duration_ms, 1000)
        return f"{whole}.{thousandths:03}" if not whole and thousandths < 100 else f"{whole}.{thousandths // 10:02}"


def latest_call(key: ApiKey) -> LatestCall | None:
    """The key's call that ended last. Bounded by its last use, so that what others called costs nothing."""
    if key.last_used_at is None:
        return None
    since = key.last_used_at - CALL_LASTS_AT_MOST
    calls = CallRecord.objects.filter(account_id=key.account_id, key_id=key.pk, created_at__gte=since)
    slug = Model.objects.filter(pk=OuterRef("model_id")).values("slug")
    record = calls.annotate(slug=Subquery(slug)).order_by("-created_at", "-id").first()
    return LatestCall(record, record.slug) if record is not None else None


def cheapest_offer(allowed_model_ids: Collection[int] | None = None) -> Offer | None:
    """The chat model to try first: of those that are up (and allowed) the one whose typical call costs least."""
    offers = [
        offer
        for offer in all_offers()
        if offer.is_callable
        and offer.model.kind == Model.Kind.CHAT
        and not offer.has_retired
        and offer.typical_nanos is not None
        and (allowed_model_ids is None or offer.model.pk in allowed_model_ids)
    ]
    return min(offers, key=lambda offer: (offer.typical_nanos or 0, offer.model.position), default=None)


def request_body(slug: str) -> str:
    """What the snippets send to ``/chat/completions``, for the browser to send."""
    return json.dumps({"model": slug, "messages": [{"role": "user", "content": PROMPT}]})
