"""The catalogue's filters: what a GET form asks for, which offers satisfy it, and how many each further choice would leave."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from gateway.models import Model
from gateway.offers import ABILITIES, MODALITIES, Offer, short_tokens
from tokenhub.money import usd_string, usd_to_nanos

type Test = Callable[[Offer], bool]

TEXT_LENGTH_MAX = 100
#: what the form offers; a link may ask for any other number
CONTEXT_STEPS = (128_000, 200_000, 256_000, 500_000, 1_000_000)
SORTS: dict[str, str | Promise] = {
    "cost": _("Cheapest first"),
    "name": _("By name"),
    "context": _("Longest context first"),
    "maker": _("By provider"),
}
VIEWS = ("table", "cards")


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a facet. ``count``: how many models remain with it beside all other filters."""

    value: str
    words: str
    count: int
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter in force, and the query that lets it go."""

    words: str
    query: str


@dataclass(frozen=True, slots=True)
class Facets:
    """As asked. An empty field asks nothing; what cannot be understood is said in ``errors`` and asks nothing."""

    text: str = ""
    kind: str = ""
    groups: tuple[str, ...] = ()  # any of them
    accepts: tuple[str, ...] = ()  # all of them
    abilities: tuple[str, ...] = ()  # all of them
    context_tokens_least: int = 0
    typical_nanos_most: int | None = None
    is_retiring: bool = False
    sort: str = "cost"
    view: str = "table"
    errors: dict[str, str] = field(default_factory=dict)
    price_text: str = ""

    @classmethod
    def of(cls, query: QueryDict) -> "Facets":
        price_text = query.get("price", "").strip().lstrip("$")
        typical_nanos_most, errors = _price(price_text)
        context = query.get("context", "")
        return cls(
            text=query.get("q", "").strip()[:TEXT_LENGTH_MAX],
            kind=_one_of(Model.Kind.values, query.get("kind", "")),
            groups=tuple(dict.fromkeys(query.getlist("group"))),
            accepts=tuple(name for name in MODALITIES if name in query.getlist("accepts")),
            abilities=tuple(name for name in ABILITIES if name in query.getlist("can")),
            context_tokens_least=int(context) if context.isascii() and context.isdigit() and len(context) < 10 else 0,
            typical_nanos_most=typical_nanos_most,
            is_retiring=bool(query.get("retiring")),
            sort=_one_of(SORTS, query.get("sort", "")) or "cost",
            view=_one_of(VIEWS, query.get("view", "")) or "table",
            errors=errors,
            price_text=price_text[:TEXT_LENGTH_MAX],
        )

    # ------------------------------------------------------------ what matches
    def _tests(self) -> dict[str, list[Test]]:
        """What an offer must satisfy, by the name of the field that asks it."""
        asked: dict[str, list[Test]] = {}
        if self.text:
            asked["q"] = [lambda offer: self.text.lower() in _searchable(offer)]
        if self.kind:
            asked["kind"] = [lambda offer: offer.model.kind == self.kind]
        if self.groups:
            asked["group"] = [lambda offer: offer.model.provider.slug in self.groups]
        if self.accepts:
            asked["accepts"] = [lambda offer: set(self.accepts) <= set(offer.model.input_modalities)]
        if self.abilities:
            asked["can"] = [lambda offer: all(offer.model.supports.get(name) for name in self.abilities)]
        if least := self.context_tokens_least:
            asked["context"] = [lambda offer: (offer.model.context_window or 0) >= least]
        if (most := self.typical_nanos_most) is not None:
            asked["price"] = [lambda offer: offer.typical_nanos is not None and offer.typical_nanos <= most]
        if self.is_retiring:
            asked["retiring"] = [lambda offer: offer.model.retires_on is not None]
        return asked

    def matching(self, offers: Iterable[Offer], *, but: str = "") -> list[Offer]:
        """The offers that satisfy every filter (``but`` names one field to leave aside), in the order asked for."""
        tests = [test for name, tests in self._tests().items() if name != but for test in tests]
        return sorted((offer for offer in offers if all(test(offer) for test in tests)), key=ORDERS[self.sort])

    # ------------------------------------------------------------ what the form shows
    def kinds(self, offers: list[Offer]) -> list[Option]:
        found = [offer.model.kind for offer in self.matching(offers, but="kind")]
        everything = Option("", gettext("All"), len(found), not self.kind)
        return [everything] + [
            Option(value, str(label).capitalize(), found.count(value), value == self.kind)
            for value, label in Model.Kind.choices
        ]

    def providers(self, offers: list[Offer]) -> list[Option]:
        found = [offer.model.provider.slug for offer in self.matching(offers, but="group")]
        names = {offer.model.provider.slug: offer.model.provider.name for offer in offers}
        return [Option(slug, name, found.count(slug), slug in self.groups) for slug, name in names.items()]

    def inputs(self, offers: list[Offer]) -> list[Option]:
        found = self.matching(offers)
        return [
            Option(name, str(words), sum(name in o.model.input_modalities for o in found), name in self.accepts)
            for name, words in MODALITIES.items()
        ]

    def abilities_offered(self, offers: list[Offer]) -> list[Option]:
        found = self.matching(offers)
        return [
            Option(name, str(words), sum(bool(o.model.supports.get(name)) for o in found), name in self.abilities)
            for name, words in ABILITIES.items()
        ]

    def contexts(self) -> list[Option]:
        steps = sorted({*CONTEXT_STEPS, self.context_tokens_least} - {0})
        return [Option(str(n), short_tokens(n), 0, n == self.context_tokens_least) for n in steps]

    def sorts(self) -> list[Option]:
        return [Option(value, str(words), 0, value == self.sort) for value, words in SORTS.items()]

    # ------------------------------------------------------------ links
    def pairs(self) -> list[tuple[str, str]]:
        """The query, in one order for one meaning: what is not asked is not there."""
        single = [
            ("q", self.text),
            ("kind", self.kind),
            *(("group", slug) for slug in self.groups),
            *(("accepts", name) for name in self.accepts),
            *(("can", name) for name in self.abilities),
            ("context", str(self.context_tokens_least or "")),
            ("price", self.price_text if self.typical_nanos_most is not None else ""),
            ("retiring", "1" if self.is_retiring else ""),
            ("sort", "" if self.sort == "cost" else self.sort),
            ("view", "" if self.view == "table" else self.view),
        ]
        return [(name, value) for name, value in single if value]

    def query(self, *, without: tuple[str, str] | None = None, view: str | None = None) -> str:
        """``?…`` for a link, or the empty string."""
        pairs = [pair for pair in self.pairs() if pair != without and not (view and pair[0] == "view")]
        if view and view != "table":
            pairs.append(("view", view))
        return f"?{urlencode(pairs)}" if pairs else "?"

    def chips(self, offers: Iterable[Offer]) -> list[Chip]:
        names = {offer.model.provider.slug: offer.model.provider.name for offer in offers}
        return [
            Chip(self._words(name, value, names), self.query(without=(name, value)))
            for name, value in self.pairs()
            if name not in ("sort", "view", "kind")
        ]

    def _words(self, name: str, value: str, providers: dict[str, str]) -> str:
        match name:
            case "kind":
                return str(Model.Kind(value).label)
            case "group":
                return providers.get(value, value)
            case "accepts":
                return gettext("takes %(what)s") % {"what": MODALITIES[value]}
            case "can":
                return str(ABILITIES[value])
            case "context":
                return gettext("at least %(tokens)s context") % {"tokens": short_tokens(int(value))}
            case "price":
                return gettext("at most $%(amount)s a call") % {"amount": usd_string(self.typical_nanos_most or 0)}
            case "retiring":
                return gettext("retiring")
        return f"“{value}”"

    def near_misses(self, offers: list[Offer]) -> list[tuple[int, Chip]]:
        """Where nothing matches: how many would, without one of the filters. Most first."""
        found = []
        for name, value in self.pairs():
            if name in ("sort", "view"):
                continue
            loosened = Facets.of(QueryDict(self.query(without=(name, value)).removeprefix("?")))
            if count := len(loosened.matching(offers)):
                names = {offer.model.provider.slug: offer.model.provider.name for offer in offers}
                found.append((count, Chip(self._words(name, value, names), loosened.query())))
        return sorted(found, key=lambda miss: -miss[0])


def _one_of(known: Iterable[str], value: str) -> str:
    return value if value in known else ""


def _price(text: str) -> tuple[int | None, dict[str, str]]:
    if not text:
        return None, {}
    try:
        nanos = usd_to_nanos(text)
    except ValueError:
        nanos = -1
    if nanos < 0:
        return None, {"price": gettext("Write an amount in dollars, such as 0.01.")}
    return nanos, {}


def _searchable(offer: Offer) -> str:
    model = offer.model
    return f"{model.slug} {model.name} {model.provider.name} {model.description}".lower()


#: ties keep the catalogue's order; what has no price or no context comes last
ORDERS: dict[str, Callable[[Offer], tuple[object, ...]]] = {
    "cost": lambda offer: (offer.typical_nanos is None, offer.typical_nanos or 0, offer.model.position),
    "name": lambda offer: (offer.model.name.casefold(), offer.model.position),
    "context": lambda offer: (-(offer.model.context_window or 0), offer.model.position),
    "maker": lambda offer: (offer.model.position,),
}
