"""The API's reading side, in the shapes of OpenAI and OpenRouter: what can be called, what is left, what a call cost."""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounts import keys
from accounts.models import ApiKey
from billing import ledger
from billing.models import Price
from gateway import faces, parameters, tokens
from gateway.adapters import in_our_words
from gateway.dialects import messages_chat
from gateway.dialects.faults import Invalid, Unsupported
from gateway.errors import (
    BillingUnavailable,
    InvalidApiKey,
    InvalidJson,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    NoUpstreamAvailable,
    RequestTooLarge,
)
from gateway.models import CallRecord, Endpoint, Model, Outcome, UsageHour
from gateway.routing import reaches
from gateway.upstreams import registry
from tokenhub import clock
from tokenhub.errors import TokenHubError
from tokenhub.ids import generation_id, parse_generation_id
from tokenhub.money import usd_number

type View = Callable[..., HttpResponse]

CORS = {"access-control-allow-origin": "*", "access-control-expose-headers": "x-request-id, retry-after"}


def _json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(
        orjson.dumps(data), content_type="application/json", status=status, headers={**CORS, **(headers or {})}
    )


def endpoint(*methods: str, face: faces.Face = faces.CHAT) -> Callable[[View], View]:
    """A view of the API: its methods, CORS, a request id, and every error in the envelope of its dialect."""

    def decorate(view: View) -> View:
        @csrf_exempt  # a key in a header is sent by nobody's browser on its own
        @wraps(view)
        def serve(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            request_id = f"req-{uuid.uuid4().hex}"
            if request.method == "OPTIONS":
                response = HttpResponse(status=204, headers=PREFLIGHT)
            else:
                try:
                    if methods and request.method not in methods:
                        raise MethodNotAllowed(f"Use {' or '.join(methods)}.", headers={"allow": ", ".join(methods)})
                    response = view(request, *args, **kwargs)
                except TokenHubError as error:
                    response = _json(face.error_body(error, request_id), error.status, error.headers)
                except DatabaseError:
                    away = BillingUnavailable("The database cannot be reached right now. Try again.")
                    response = _json(face.error_body(away, request_id), away.status, away.headers)
            response["x-request-id"] = request_id
            response["cache-control"] = "no-store"
            return response

        return serve

    return decorate


PREFLIGHT = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
    "access-control-allow-headers": "*, authorization",
    "access-control-max-age": "86400",
}


def key_of(request: HttpRequest) -> ApiKey:
    """The live key that was sent. A session cookie opens nothing here. Raises InvalidApiKey."""
    x_api_key = request.headers.get("x-api-key")
    key = x_api_key
    if (authorization := request.headers.get("authorization")) is not None:
        scheme, _, key = authorization.partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or (x_api_key is not None and x_api_key != key):
            raise InvalidApiKey
    row = keys.find(key) if key else None
    if row is None:
        raise InvalidApiKey
    return row


# ---------------------------------------------------------------- models


@endpoint("GET")
def models(request: HttpRequest) -> HttpResponse:
    served = [described for model in _listed() if (described := describe(model)) is not None]
    return _json({"object": "list", "data": served})


@endpoint("GET")
def model(request: HttpRequest, slug: str) -> HttpResponse:
    row = _listed().filter(slug=slug).first()
    described = describe(row) if row is not None else None
    if described is None:
        raise ModelNotFound(f"There is no model `{slug[:100]}`. GET /api/v1/models lists them all.", param="model")
    return _json(described)


def _listed() -> Any:
    return Model.objects.filter(is_listed=True).select_related("provider").prefetch_related("routes")


def describe(model: Model) -> dict[str, Any] | None:
    """OpenAI's fields, then OpenRouter's, then ours; None for what cannot be served now."""
    is_sandbox, is_reachable = serving(model)
    if not is_reachable:
        return None
    return {
        "id": model.slug,
        "object": "model",
        "created": CREATED,
        "owned_by": model.slug.partition("/")[0],
        "name": model.name,
        "description": model.description,
        "context_length": model.context_window,
        "architecture": {
            "modality": f"{'+'.join(model.input_modalities)}->{'+'.join(model.output_modalities)}",
            "input_modalities": model.input_modalities,
            "output_modalities": model.output_modalities,
        },
        "pricing": _pricing(model),
        "supported_parameters": _supported_parameters(model),
        "top_provider": {
            "context_length": model.context_window,
            "max_completion_tokens": model.max_output_tokens,
            "is_moderated": False,
        },
        "group": model.provider.slug,
        "sandbox": is_sandbox,
        "deprecated": model.retires_on is not None,
        "successor": model.successor or None,
    }


#: OpenAI's field; the catalogue does not know when vendors made their models
CREATED = 1_762_000_000


def serving(model: Model) -> tuple[bool, bool]:
    """(answered by the sandbox, can be served now). Media models are listed wherever their vendor or the sandbox would answer."""
    if model.kind == Model.Kind.CHAT:
        routes = reaches(model)
        return bool(routes) and routes[0].upstream.is_sandbox, bool(routes)
    configured = any(registry.is_configured(route.upstream) for route in model.routes.all())
    return (not configured), (configured or registry.reach("sandbox") is not None)


def _pricing(model: Model) -> dict[str, str]:
    """OpenRouter's habit: USD per token as decimal strings. Media models name their own unit on the models page."""
    price = (
        Price.objects.filter(pk__in=model.price_ids, effective_at__lte=clock.now()).order_by("-effective_at").first()
    )
    if price is None or price.rates.get("unit") != "tokens":
        return {}
    rates = price.rates["per_million"]
    names = {
        "prompt": "input",
        "completion": "output",
        "input_cache_read": "cached_input",
        "input_cache_write": "cache_write",
    }
    return {name: _usd_per_token(rates[key]) for name, key in names.items() if rates.get(key) is not None}


def _usd_per_token(nanos_per_million: int) -> str:
    """Exact: nano-USD per million tokens are 10⁻¹⁵ USD per token."""
    whole, fraction = divmod(nanos_per_million, 10**15)
    return f"{whole}.{fraction:015d}".rstrip("0").rstrip(".")


def _supported_parameters(model: Model) -> list[str]:
    if model.kind != Model.Kind.CHAT:
        return []
    supports, lacking = model.supports, set()
    if not supports.get("tools", True):
        lacking |= {"tools", "tool_choice", "parallel_tool_calls"}
    if not supports.get("sampling_params", True):
        lacking |= {
            "temperature",
            "top_p",
            "presence_penalty",
            "frequency_penalty",
            "logprobs",
            "top_logprobs",
            "logit_bias",
        }
    if not supports.get("reasoning", False):
        lacking.add("reasoning_effort")
    return [name for name in parameters.SUPPORTED if name not in lacking]


# ---------------------------------------------------------------- money


@endpoint("GET")
def credits(request: HttpRequest) -> HttpResponse:
    """Numbers in USD, written digit by digit (OpenRouter's shape, plus what is held and what is available)."""
    account_id = key_of(request).account_id
    wallet = ledger.wallet(account_id)
    used = UsageHour.objects.filter(account_id=account_id).aggregate(nanos=Sum("cost_nanos"))["nanos"] or 0
    fields = {
        b"total_credits": wallet.posted_nanos + int(used),
        b"total_usage": int(used),
        b"held": wallet.held_nanos,
        b"available": wallet.available_nanos,
    }
    body = b",".join(b'"%b":%b' % (name, usd_number(nanos)) for name, nanos in fields.items())
    return HttpResponse(b'{"data":{%b}}' % body, content_type="application/json", headers=CORS)


@endpoint("GET")
def generation(request: HttpRequest) -> HttpResponse:
    """One settled call of this account. Another account's id answers like one that never existed."""
    key = key_of(request)
    text = request.GET.get("id", "")
    call = parse_generation_id(text)
    record = CallRecord.objects.filter(pk=call, account_id=key.account_id).first() if call else None
    if record is None:
        raise NotFound("There is no such generation.", param="id")
    fields = orjson.dumps({"data": _receipt(record)})
    # the one number that must not become a float: spliced in as digits
    return HttpResponse(
        fields.replace(b'"total_cost":null', b'"total_cost":' + usd_number(record.cost_nanos), 1),
        content_type="application/json",
        headers=CORS,
    )


def _receipt(record: CallRecord) -> dict[str, Any]:
    slug = Model.objects.values_list("slug", flat=True).get(pk=record.model_id)
    return {
        "id": generation_id(record.pk.bytes),
        "object": "generation",
        "model": slug,
        "created_at": record.created_at.isoformat(),
        "status": record.status,
        "outcome": Outcome(record.outcome).name.lower(),
        "total_cost": None,
        "tokens_prompt": record.input_tokens,
        "tokens_completion": record.output_tokens,
        "native_tokens_cached": record.cached_input_tokens,
        "native_tokens_reasoning": record.reasoning_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "endpoint": Endpoint(record.endpoint).name.lower(),
        "app": record.app or None,
        "estimated": record.estimated,
        "streamed": record.streamed,
        "sandbox": record.sandbox,
        "cancelled": record.outcome == Outcome.CLIENT_CLOSED,
        "latency": record.first_byte_ms if record.first_byte_ms >= 0 else None,
        "generation_time": record.duration_ms,
        **({"detail": record.detail} if record.detail else {}),
    }


# ---------------------------------------------------------------- counting


@endpoint("POST", face=faces.MESSAGES)
def count_tokens(request: HttpRequest) -> HttpResponse:
    """Anthropic's route, for every model: a local count, free, and an estimate where the vendor counts otherwise."""
    key_of(request)
    try:
        body = orjson.loads(request.body)
        messages = messages_chat.count_text(body)
    except RequestDataTooBig as e:
        raise RequestTooLarge("The body is larger than 25 MiB.") from e
    except orjson.JSONDecodeError as e:
        raise InvalidJson(f"The body is not valid JSON: {e}.") from e
    except (Unsupported, Invalid) as fault:
        raise in_our_words(fault) from fault
    if not Model.objects.filter(slug=body["model"], is_listed=True, kind=Model.Kind.CHAT).exists():
        raise ModelNotFound(f"There is no chat model `{str(body['model'])[:100]}`.", param="model")
    return _json({"input_tokens": tokens.count_messages(messages)})


# ---------------------------------------------------------------- what is not here


@endpoint("POST")
def media(request: HttpRequest) -> HttpResponse:
    key_of(request)
    raise NoUpstreamAvailable("Images and videos are listed but not served here yet.")


@endpoint()
def unknown_route(request: HttpRequest, path: str = "") -> HttpResponse:
    raise NotFound(
        f"There is no {request.method} {request.path[:200]}. The routes are listed at {settings.PUBLIC_URL}/docs."
    )
