"""The catalogue's pages: open to everybody, in the public frame for strangers and the app's shell for signed-in people."""

import difflib
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from gateway import model_choice, model_comparison, model_traffic
from gateway.endpoints import describe
from gateway.model_estimate import estimate
from gateway.model_facets import Facets
from gateway.models import Model, Provider
from gateway.offers import Offer, all_offers, offers_by_slug, offers_of
from tokenhub.snippets import snippets

NEAR_MATCHES = 6


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    offers = all_offers()
    facets = Facets.of(request.GET)
    shown = facets.matching(offers)
    context = {
        "facets": facets,
        "offers": shown,
        "all_count": len(offers),
        "group_count": len({offer.model.provider_id for offer in offers}),
        "kinds": facets.kinds(offers),
        "providers": facets.providers(offers),
        "inputs": facets.inputs(offers),
        "abilities": facets.abilities_offered(offers),
        "chips": facets.chips(offers),
        "near_misses": [] if shown else facets.near_misses(offers),
        "table_query": facets.query(view="table"),
        "cards_query": facets.query(view="cards"),
    }
    return _page(request, "models/index.html", context, canonical=reverse("models"))


@require_safe
def group(request: HttpRequest, slug: str) -> HttpResponse:
    provider = Provider.objects.filter(slug=slug, models__is_listed=True).distinct().first()
    if provider is None:
        return _unknown(request, slug)
    offers = Facets().matching(offers_of(provider))
    example = next((offer for offer in offers if offer.is_callable and not offer.has_retired), None)
    context = {
        "group": provider,
        "offers": offers,
        "example": example,
        "snippets": snippets(example.model.slug) if example else [],
    }
    return _page(request, "models/group.html", context, canonical=reverse("models_group", args=[slug]))


@require_safe
def model(request: HttpRequest, slug: str) -> HttpResponse:
    found = offers_by_slug([slug])
    if not found:
        return _unknown(request, slug)
    offer = found[0]
    context = {
        "offer": offer,
        "model": offer.model,
        "prices": offer.prices,
        "estimate": estimate(offer, request.GET),
        "traffic": model_traffic.last_days().get(offer.model.pk),
        "days": model_traffic.DAYS,
        "calls_least": model_traffic.CALLS_LEAST,
        "snippets": snippets(slug) if offer.is_callable else [],
        "parameters": (describe(offer.model) or {}).get("supported_parameters", []),
    }
    return _page(request, "models/model.html", context, canonical=reverse("model_page", args=[slug]))


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    asked = list(dict.fromkeys(filter(None, request.GET.getlist("m"))))  # the picker may send an empty one
    offers = offers_by_slug(asked[: model_comparison.MODELS_MAX])
    rows = model_comparison.rows(offers) if len(offers) > 1 else []
    only_differences = bool(request.GET.get("differences"))
    context = {
        "offers": offers,
        "columns": [(offer, _without(offers, offer)) for offer in offers],
        "rows": [
            (row, list(zip(offers, row.cells, strict=True))) for row in rows if row.differs or not only_differences
        ],
        "differing": sum(row.differs for row in rows),
        "only_differences": only_differences,
        "left_out": len(asked) - model_comparison.MODELS_MAX,
        "others": Model.objects.filter(is_listed=True).exclude(slug__in=asked).values("slug", "name"),
        "models_max": model_comparison.MODELS_MAX,
    }
    return _page(request, "models/compare.html", context, canonical=reverse("models_compare"))


@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    choice = model_choice.choose(all_offers(), model_traffic.last_days(), request.GET)
    context = {"choice": choice, "days": model_choice.DAYS}
    return _page(request, "models/choose.html", context, canonical=reverse("models_choose"))


# ---------------------------------------------------------------- steps
def _page(
    request: HttpRequest, template: str, context: dict[str, Any], *, canonical: str, status: int = 200
) -> HttpResponse:
    """In the frame that ``tokenhub.context`` chooses for whoever asks."""
    context["canonical"] = f"{settings.PUBLIC_URL}{canonical}"
    response = render(request, template, context, status=status)
    if request.user.is_authenticated:  # the shell names a person and a balance
        response["Cache-Control"] = "no-store"
    patch_vary_headers(response, ["Cookie"])
    return response


def _unknown(request: HttpRequest, asked: str) -> HttpResponse:
    """A 404 that names what may have been meant: the same maker, the same name elsewhere, or something spelled alike."""
    known = list(Model.objects.filter(is_listed=True).values_list("slug", flat=True))
    word = asked.lower()
    same = [slug for slug in known if word in (slug.partition("/")[0], slug.partition("/")[2])]
    near = [*same, *difflib.get_close_matches(word, known, n=NEAR_MATCHES, cutoff=0.5)]
    context = {"asked": asked[:100], "offers": offers_by_slug(list(dict.fromkeys(near))[:NEAR_MATCHES])}
    return _page(request, "models/unknown.html", context, canonical=reverse("models"), status=404)


def _without(offers: list[Offer], gone: Offer) -> str:
    return "&".join(f"m={offer.model.slug}" for offer in offers if offer is not gone)
