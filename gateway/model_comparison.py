"""Up to four models side by side: one row a property, and in words where they differ and who is ahead."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.formats import date_format
from django.utils.translation import gettext

from gateway.models import Model
from gateway.offers import ABILITIES, Offer

MODELS_MAX = 4


@dataclass(frozen=True, slots=True)
class Cell:
    text: str = ""
    nanos: int | None = None  # shown as money in place of the text
    measure: str = ""  # what the money is for, where models differ: "image", "s"
    note: str = ""  # "cheapest", "longest"


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: list[Cell]

    @property
    def differs(self) -> bool:
        return len({(cell.text, cell.nanos, cell.measure) for cell in self.cells}) > 1


def rows(offers: Sequence[Offer]) -> list[Row]:
    chat = [offer for offer in offers if offer.model.kind == Model.Kind.CHAT]
    table = [
        _text(offers, gettext("State"), lambda offer: offer.state.word),
        _text(offers, gettext("Provider"), lambda offer: offer.model.provider.name),
        _typical(offers),
    ]
    if chat:
        table += [
            _tokens_money(offers, gettext("Input, per 1M tokens"), "input"),
            _tokens_money(offers, gettext("Input read from cache"), "cached_input"),
            _tokens_money(offers, gettext("Output, per 1M tokens"), "output"),
            _longest(offers, gettext("Context, tokens"), lambda model: model.context_window),
            _longest(offers, gettext("Output at most, tokens"), lambda model: model.max_output_tokens),
        ]
    if len(chat) < len(offers):
        table.append(Row(gettext("One image or second"), [_unit_money(offer) for offer in offers]))
    table += [
        _text(offers, gettext("Takes"), lambda offer: ", ".join(offer.takes)),
        _text(offers, gettext("Gives"), lambda offer: ", ".join(offer.gives)),
    ]
    if chat:
        table += [_ability(offers, name, str(words)) for name, words in ABILITIES.items()]
    if len(chat) < len(offers):
        table.append(_text(offers, gettext("Can do"), lambda offer: ", ".join(offer.abilities)))
    table += [
        _text(offers, gettext("Retires"), _retires),
        _text(offers, gettext("Successor"), lambda offer: offer.model.successor or "–"),
    ]
    return table


def _text(offers: Sequence[Offer], name: str, words: Callable[[Offer], str]) -> Row:
    return Row(name, [Cell(words(offer) or "–") for offer in offers])


def _ability(offers: Sequence[Offer], name: str, words: str) -> Row:
    def says(offer: Offer) -> str:
        if offer.model.kind != Model.Kind.CHAT:
            return "–"
        return gettext("yes") if offer.model.supports.get(name) else gettext("no")

    return _text(offers, words[:1].upper() + words[1:], says)


def _retires(offer: Offer) -> str:
    return date_format(offer.model.retires_on, "j M Y") if offer.model.retires_on else "–"


def _typical(offers: Sequence[Offer]) -> Row:
    return Row(gettext("Typical call"), _least(offers, [offer.typical_nanos for offer in offers]))


def _tokens_money(offers: Sequence[Offer], name: str, rate: str) -> Row:
    return Row(name, _least(offers, [getattr(offer.prices.base, rate, None) for offer in offers]))


def _least(offers: Sequence[Offer], amounts: list[int | None]) -> list[Cell]:
    """The cheapest is named, where amounts differ and are for the same thing."""
    known = [nanos for nanos in amounts if nanos is not None]
    kinds = {offer.model.kind for offer in offers}
    least = min(known) if len(kinds) == 1 and len(set(known)) > 1 else None
    return [
        Cell("–") if nanos is None else Cell(nanos=nanos, note=gettext("cheapest") if nanos == least else "")
        for nanos in amounts
    ]


def _longest(offers: Sequence[Offer], name: str, size: Callable[[Model], int | None]) -> Row:
    sizes = [size(offer.model) for offer in offers]
    known = [tokens for tokens in sizes if tokens is not None]
    most = max(known) if len(set(known)) > 1 else None
    return Row(
        name,
        [
            Cell("–") if tokens is None else Cell(f"{tokens:,}", note=gettext("most") if tokens == most else "")
            for tokens in sizes
        ],
    )


def _unit_money(offer: Offer) -> Cell:
    nanos = offer.prices.standard_unit_nanos
    return Cell("–") if nanos is None else Cell(nanos=nanos, measure=offer.prices.measure)
