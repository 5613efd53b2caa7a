"""What stands in the shop window: each listed model with its prices and whether it can be called here now."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db.models import QuerySet
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from billing.models import Price
from gateway.endpoints import serving
from gateway.models import Model, Provider
from gateway.price_list import PriceList
from gateway.routing import has_retired
from tokenhub import clock

#: kinds whose calls are answered; the others are listed with their prices and answer 503 (``endpoints.media``)
SERVED_KINDS = {Model.Kind.CHAT}

#: what people filter chat models by → the field of ``Model.supports``
ABILITIES = {
    "tools": _("tools"),
    "vision": _("vision"),
    "json_schema": _("JSON schema"),
    "reasoning": _("reasoning"),
    "prompt_cache": _("caching"),
}
MEDIA_ABILITIES = {
    "image_edit": _("edit"),
    "max_reference_images": _("references"),
    "image_to_video": _("from image"),
    "first_last_frame": _("first and last frame"),
    "audio_output": _("sound"),
}
MODALITIES = {
    "text": _("text"),
    "image": _("images"),
    "file": _("files"),
    "audio": _("audio"),
    "video": _("video"),
}


@dataclass(frozen=True, slots=True)
class State:
    """A word and the mark beside it (components/state.html), and a sentence for whoever wants to know more."""

    word: str
    mark: str  # "" ok, warn, bad, off
    sentence: str


@dataclass(frozen=True)
class Offer:
    model: Model  # with its provider
    prices: PriceList
    is_sandbox: bool  # answered by the built-in stand-in
    is_reachable: bool

    @property
    def is_callable(self) -> bool:
        return self.is_reachable and self.model.kind in SERVED_KINDS

    @property
    def has_retired(self) -> bool:
        return has_retired(self.model)

    @property
    def is_retiring(self) -> bool:
        return self.model.retires_on is not None and not self.has_retired

    @cached_property
    def typical_nanos(self) -> int | None:
        return self.prices.typical_nanos

    @property
    def state(self) -> State:
        if self.has_retired:
            return State(gettext("Retired"), "off", self._retired())
        if not self.is_reachable:
            return State(gettext("Not offered here"), "off", gettext("No vendor of this model is set up here."))
        if self.model.kind not in SERVED_KINDS:
            return State(
                gettext("Coming soon"), "off", gettext("Listed with its price. Calls are answered with 503 so far.")
            )
        if self.is_sandbox:
            return State(
                pgettext("state of a model", "Sandbox"),
                "",
                gettext("Answered by the built-in stand-in, at this price; no vendor is asked."),
            )
        return State(gettext("Available"), "", gettext("Answered by the vendor."))

    def _retired(self) -> str:
        if not self.model.successor:
            return gettext("It is no longer offered by its vendor.")
        return gettext("Calls are answered by %(successor)s, at its price.") % {"successor": self.model.successor}

    @property
    def abilities(self) -> list[str]:
        """What it can do, in words."""
        words = ABILITIES if self.model.kind == Model.Kind.CHAT else MEDIA_ABILITIES
        return [str(word) for name, word in words.items() if self.model.supports.get(name)]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What it can and cannot do, name and value, beyond the abilities' bare words."""
        return _chat_facts(self.model) if self.model.kind == Model.Kind.CHAT else _media_facts(self.model)

    @property
    def takes(self) -> list[str]:
        return [str(MODALITIES.get(name, name)) for name in self.model.input_modalities]

    @property
    def gives(self) -> list[str]:
        return [str(MODALITIES.get(name, name)) for name in self.model.output_modalities]

    @property
    def context(self) -> str:
        return short_tokens(self.model.context_window) if self.model.context_window else ""


def short_tokens(tokens: int) -> str:
    """``1.05M``, ``205K``: to compare by eye. The model's own page has the exact figure."""
    if tokens < 950_000:
        return f"{(tokens + 500) // 1_000}K"
    hundredths = (tokens + 5_000) // 10_000
    whole, rest = divmod(hundredths, 100)
    return f"{whole}.{rest:02}".rstrip("0").rstrip(".") + "M"


def _chat_facts(model: Model) -> list[tuple[str, str]]:
    can = model.supports
    tools = gettext("no")
    if can.get("tools"):
        parallel = gettext("yes, parallel") if can.get("parallel_tools") else gettext("yes, one at a time")
        tools = parallel if can.get("forced_tool_choice") else f"{parallel}; {gettext('no forced choice')}"
    return [
        (gettext("Tools"), tools),
        (gettext("JSON schema"), _yes(can.get("json_schema"))),
        (gettext("JSON mode"), _yes(can.get("json_mode"))),
        (gettext("Reasoning"), _yes(can.get("reasoning"))),
        (
            gettext("Prompt cache"),
            gettext("yes, with cache_control") if can.get("cache_control") else _yes(can.get("prompt_cache")),
        ),
        (gettext("Sampling"), gettext("temperature, top_p") if can.get("sampling_params") else gettext("no")),
        (gettext("Streaming"), _yes(can.get("streaming"))),
        (gettext("Context"), _tokens(model.context_window)),
        (gettext("Output at most"), _tokens(model.max_output_tokens)),
    ]


def _media_facts(model: Model) -> list[tuple[str, str]]:
    can = model.supports
    facts = [
        (gettext("Sizes"), ", ".join(can.get("size_presets", []))),
        (gettext("Resolutions"), ", ".join(can.get("resolutions", []))),
        (gettext("Aspect ratios"), ", ".join(can.get("aspect_ratios", []))),
        (gettext("Length"), _seconds(can.get("durations", []))),
        (gettext("Images a call"), str(can.get("max_images_per_request", ""))),
        (gettext("Reference images"), str(can.get("max_reference_images", can.get("reference_images", "")))),
        (gettext("Can do"), ", ".join(str(word) for name, word in MEDIA_ABILITIES.items() if can.get(name))),
    ]
    return [(name, value) for name, value in facts if value]


def _seconds(durations: Sequence[int]) -> str:
    """Least and most; one figure where they are the same."""
    length = "–".join(str(seconds) for seconds in dict.fromkeys(durations))
    return gettext("%(seconds)s seconds") % {"seconds": length} if length else ""


def _yes(value: object) -> str:
    return gettext("yes") if value else gettext("no")


def _tokens(number: int | None) -> str:
    return gettext("%(n)s tokens") % {"n": f"{number:,}"} if number else gettext("not published")


# ---------------------------------------------------------------- from the database
def all_offers() -> list[Offer]:
    """Every listed model in the catalogue's order: three queries, however many there are."""
    return _offers(Model.objects.filter(is_listed=True))


def offers_of(group: Provider) -> list[Offer]:
    return _offers(Model.objects.filter(is_listed=True, provider=group))


def offers_by_slug(slugs: Sequence[str]) -> list[Offer]:
    """In the order asked for; unknown ones are left out."""
    found = {offer.model.slug: offer for offer in _offers(Model.objects.filter(is_listed=True, slug__in=slugs))}
    return [found[slug] for slug in slugs if slug in found]


def _offers(models: QuerySet[Model]) -> list[Offer]:
    rows = list(models.select_related("provider").prefetch_related("routes"))
    prices = Price.objects.in_bulk({price_id for model in rows for price_id in model.price_ids})
    now = clock.now()
    offers = []
    for model in rows:
        schedule = sorted((prices[i] for i in model.price_ids), key=lambda price: price.effective_at)
        is_sandbox, is_reachable = serving(model)
        offers.append(Offer(model, PriceList(tuple(schedule), now), is_sandbox, is_reachable))
    return offers
