"""Help me choose: three models for a task, each with the reason in one line and the cost of the asker's own volume.

Only what the catalogue and our own traffic know is used, and a reason says which: no benchmark stands behind "best".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing import pricing
from billing.meters import Usage
from gateway.model_estimate import CALLS_MAX, DAYS, TOKENS_MAX
from gateway.model_traffic import Traffic
from gateway.models import Model
from gateway.offers import ABILITIES, Offer, short_tokens

PICKS = 3
LONG_CONTEXT_TOKENS = 500_000
#: the stand-in vendor's own models are for trying out clients, not for work
NOT_FOR_WORK = "sandbox"

TASKS: dict[str, str | Promise] = {
    "chat": _("Chat and writing"),
    "code": _("Coding and agents"),
    "documents": _("Long documents"),
    "vision": _("Reading images and documents"),
    "extract": _("Extracting data as JSON"),
    "image": _("Making images"),
    "video": _("Making videos"),
}
#: what a task needs of ``Model.supports``
TASK_NEEDS = {"code": ("tools",), "vision": ("vision",), "extract": ("json_schema",)}
PRIORITIES: dict[str, str | Promise] = {"cost": _("Low cost"), "speed": _("Speed"), "quality": _("Quality")}


class ChoiceForm(forms.Form):
    task = forms.ChoiceField(label=_("Task"), choices=list(TASKS.items()))
    priority = forms.ChoiceField(label=_("What matters most"), choices=list(PRIORITIES.items()))
    needs = forms.MultipleChoiceField(
        label=_("Must have"),
        choices=[*ABILITIES.items(), ("long", _("500K context or more"))],
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    calls = forms.IntegerField(label=_("Calls a day"), min_value=0, max_value=CALLS_MAX)
    input_tokens = forms.IntegerField(label=_("Tokens in, each"), min_value=0, max_value=TOKENS_MAX)
    output_tokens = forms.IntegerField(label=_("Tokens out, each"), min_value=0, max_value=TOKENS_MAX)

    USUAL: Mapping[str, Any] = {
        "task": "chat",
        "priority": "cost",
        "calls": 1_000,
        "input_tokens": 1_000,
        "output_tokens": 500,
    }


@dataclass(frozen=True, slots=True)
class Pick:
    offer: Offer
    reason: str
    month_nanos: int


@dataclass(frozen=True, slots=True)
class Choice:
    form: ChoiceForm
    picks: list[Pick]
    fitting: int  # how many models do the task at all
    is_media: bool


def choose(offers: list[Offer], traffic: Mapping[int, Traffic], query: QueryDict) -> Choice:
    """A page opened without a query shows the answer for an ordinary day of chat."""
    form = ChoiceForm(query if "task" in query else dict(ChoiceForm.USUAL))
    if not form.is_valid():
        return Choice(form, [], 0, False)
    wanted = form.cleaned_data
    fitting = [offer for offer in offers if _fits(offer, wanted)]
    ranked = _ranked(fitting, wanted, traffic)
    best = _of_different_makers(ranked)
    picks = [
        Pick(
            offer,
            _reason(offer, best[:place], wanted["priority"], len(fitting), traffic),
            _call_nanos(offer, wanted) * int(wanted["calls"]) * DAYS,
        )
        for place, offer in enumerate(best)
    ]
    return Choice(form, picks, len(fitting), wanted["task"] in ("image", "video"))


# ---------------------------------------------------------------- who can do it
def _fits(offer: Offer, wanted: Mapping[str, Any]) -> bool:
    model, task = offer.model, wanted["task"]
    kind = task if task in (Model.Kind.IMAGE, Model.Kind.VIDEO) else Model.Kind.CHAT
    if model.kind != kind or model.provider.slug == NOT_FOR_WORK or model.retires_on or not offer.is_reachable:
        return False
    if offer.typical_nanos is None:
        return False
    if kind != Model.Kind.CHAT:  # the must-haves are words about chat
        return True
    needs = {*wanted["needs"], *TASK_NEEDS.get(task, ())}
    if (task == "documents" or "long" in needs) and (model.context_window or 0) < LONG_CONTEXT_TOKENS:
        return False
    if (model.context_window or 0) < wanted["input_tokens"] + wanted["output_tokens"]:
        return False
    return all(model.supports.get(name) for name in needs - {"long"})


# ---------------------------------------------------------------- in which order
def _ranked(offers: list[Offer], wanted: Mapping[str, Any], traffic: Mapping[int, Traffic]) -> list[Offer]:
    match wanted["priority"]:
        case "speed":
            return sorted(offers, key=lambda offer: _speed_rank(offer, traffic))
        case "quality":
            return sorted(offers, key=lambda offer: (-(offer.typical_nanos or 0), offer.model.position))
    return sorted(offers, key=lambda offer: (_call_nanos(offer, wanted), offer.model.position))


def _speed_rank(offer: Offer, traffic: Mapping[int, Traffic]) -> tuple[object, ...]:
    """Measured ones first. Of the rest, those that answer without reasoning first, then the cheaper: small models."""
    seen = traffic.get(offer.model.pk)
    if seen is not None and seen.first_byte_mean_ms is not None:
        return (0, seen.first_byte_mean_ms, offer.model.position)
    return (1, bool(offer.model.supports.get("reasoning")), offer.typical_nanos or 0, offer.model.position)


def _of_different_makers(ranked: list[Offer]) -> list[Offer]:
    """The best of each maker, then whoever comes next: three picks of one family are no choice."""
    best = list({offer.model.provider.slug: offer for offer in reversed(ranked)}.values())[::-1]
    best.sort(key=ranked.index)
    return [*best, *(offer for offer in ranked if offer not in best)][:PICKS]


# ---------------------------------------------------------------- why, and for how much
def _reason(offer: Offer, before: list[Offer], priority: str, fitting: int, traffic: Mapping[int, Traffic]) -> str:
    """One line. ``before``: the picks that rank above this one."""
    if priority == "speed":
        return _why_fast(offer, traffic)
    is_cost, maker = priority == "cost", offer.model.provider
    if not before and is_cost:
        return gettext("The cheapest of %(count)s models that fit.") % {"count": fitting}
    if not before:
        return gettext("Priced highest of those that fit: makers charge most for their strongest model.")
    if maker in [pick.model.provider for pick in before]:
        reason = gettext("The next cheapest that fits.") if is_cost else gettext("The next by price.")
    elif is_cost:
        reason = gettext("The cheapest of %(maker)s that fits.") % {"maker": maker.name}
    else:
        reason = gettext("The strongest of %(maker)s, by price.") % {"maker": maker.name}
    if not offer.model.context_window:
        return reason
    return f"{reason} " + gettext("%(tokens)s context.") % {"tokens": short_tokens(offer.model.context_window)}


def _why_fast(offer: Offer, traffic: Mapping[int, Traffic]) -> str:
    seen = traffic.get(offer.model.pk)
    if seen is not None and seen.first_byte_mean_ms is not None:
        return gettext("First token after %(ms)s ms on average, over %(calls)s calls here in seven days.") % {
            "ms": f"{seen.first_byte_mean_ms:,}",
            "calls": f"{seen.calls:,}",
        }
    if offer.model.kind == Model.Kind.CHAT and not offer.model.supports.get("reasoning"):
        return gettext("Answers without a reasoning phase; too little traffic here yet to measure it.")
    return gettext("A small model by its price; too little traffic here yet to measure it.")


def _call_nanos(offer: Offer, wanted: Mapping[str, Any]) -> int:
    """One call as asked for; of media, one image or one clip of five seconds."""
    tokens = offer.prices.tokens
    if tokens is None:
        return offer.typical_nanos or 0
    return pricing.cost(tokens, Usage(input_tokens=wanted["input_tokens"], output_tokens=wanted["output_tokens"]))
