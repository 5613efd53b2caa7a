"""What the landing page shows of the catalogue: six models with prices, and the makers with their counts."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby

from django.utils.safestring import SafeString

from gateway.models import Model, Provider
from gateway.offers import Offer, all_offers
from tokenhub.price_scale import Priced, price_scale

CHAT_MODELS = 4
#: the stand-in's own test models are for developers, not for the shop window
STAND_IN = "sandbox"


@dataclass(frozen=True)
class Group:
    provider: Provider
    count: int


@dataclass(frozen=True)
class Storefront:
    models: list[Offer]
    groups: list[Group]
    chat: list[Priced]  # every chat model, by what a million tokens of output cost

    @property
    def scale(self) -> SafeString:
        return price_scale(self.chat)


def read() -> Storefront:
    offers = [offer for offer in all_offers() if offer.model.provider.slug != STAND_IN and not offer.has_retired]
    counts = Counter(offer.model.provider for offer in offers)
    groups = [Group(provider, count) for provider, count in counts.items()]
    chat = [Priced(o.model.name, o.prices.base.output) for o in offers if o.prices.base and o.prices.base.output]
    return Storefront(_six(offers), sorted(groups, key=lambda group: group.provider.position), chat)


def _six(offers: list[Offer]) -> list[Offer]:
    """The middle-priced chat model of each of the first four makers, the cheapest image and the cheapest video model."""
    priced = [offer for offer in offers if offer.typical_nanos is not None]
    chat = sorted(
        (offer for offer in priced if offer.model.kind == Model.Kind.CHAT), key=lambda o: o.model.provider.position
    )
    middles = [_middle(list(group)) for _maker, group in groupby(chat, key=lambda offer: offer.model.provider_id)]
    cheapest = [_cheapest([o for o in priced if o.model.kind == kind]) for kind in (Model.Kind.IMAGE, Model.Kind.VIDEO)]
    return middles[:CHAT_MODELS] + [offer for offer in cheapest if offer]


def _middle(offers: list[Offer]) -> Offer:
    return sorted(offers, key=_typical_nanos)[len(offers) // 2]


def _cheapest(offers: list[Offer]) -> Offer | None:
    return min(offers, key=_typical_nanos, default=None)


def _typical_nanos(offer: Offer) -> int:
    return offer.typical_nanos or 0
