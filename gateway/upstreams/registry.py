"""The vendors as data: an ordinary one is a row. Facts: the vendors' API references (base URLs read November 2026)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings

from gateway.upstreams import efforts
from gateway.upstreams.efforts import Effort
from gateway.upstreams.refusals import Meaning

#: later versions refuse sampling parameters even of the models that know them
ANTHROPIC_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a vendor is and how it behaves. An ordinary OpenAI-shaped vendor is a name and an address."""

    name: str
    base_url: str
    #: the wire format we speak to it (gateway/adapters.py); None: no chat, so far
    dialect: str | None = "openai"
    headers: tuple[tuple[str, str], ...] = ()
    #: the vendor goes on billing after we hang up: read on for its usage instead of stopping it
    bills_after_hang_up: bool = False
    #: the most tokens that one image of a prompt can become
    image_tokens_max: int = 16_384
    is_sandbox: bool = False
    # ---- OpenAI-shaped vendors differ in these
    path_prefix: str = ""  # between the configured origin and /chat/completions
    output_bound_name: str = "max_tokens"
    #: parameters that it refuses or ignores, dropped and named to the caller; `tools.strict`: that field of every tool
    drops: tuple[str, ...] = ()
    #: what it cannot do and nothing can stand in for: a 400 that names the parameter
    refuses: tuple[str, ...] = ()
    #: left out unnamed, because they change nothing that a caller could see
    omits: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()  # (chat's name, the vendor's)
    effort: Effort | None = None  # how it is told to think; None: in chat's own word
    #: ignored while it thinks, as it does unless told not to
    drops_thinking: tuple[str, ...] = ()
    chooses_tools_itself: bool = False  # `tool_choice` can only be auto
    renames_developer: bool = True  # knows only `system`
    keeps_reasoning: bool = False  # wants `reasoning_content` of earlier turns back
    keeps_reasoning_details: bool = False  # wants its `reasoning_details` back
    flattens_text: bool = False  # takes text only as a string
    temperature_range: tuple[float, float] = (0.0, 2.0)
    adds_at_zero: tuple[tuple[str, Any], ...] = ()  # said in place of a temperature of 0
    adds: tuple[tuple[str, Any], ...] = ()  # said with every call
    adds_to_streamed_tools: tuple[tuple[str, Any], ...] = ()
    #: what its own codes mean where the HTTP status does not tell, or tells another story
    meanings: Mapping[str, Meaning] = field(default_factory=dict, hash=False)


_NO_LOGITS = ("logit_bias", "logprobs", "top_logprobs")
_NO_PENALTIES = ("presence_penalty", "frequency_penalty")
#: words of OpenAI's alone: a wish for the answer's length, and two hints to its own machinery
_OPENAIS_WISH, _OPENAIS_HINTS = "verbosity", ("safety_identifier", "prompt_cache_key")

#: MiniMax's, in `base_resp` of a 200
MINIMAX_MEANINGS = {
    "1002": Meaning.BUSY,
    "1004": Meaning.OURS,
    "1008": Meaning.OURS,  # our balance
    "1013": Meaning.FAILED,
    "1026": Meaning.REFUSED,  # content of the prompt
    "1027": Meaning.REFUSED,  # content of the answer
    "1039": Meaning.TOO_LONG,
    "2013": Meaning.REFUSED,
}
_ZHIPU_MEANINGS = {
    **dict.fromkeys(("1000", "1001", "1002", "1003", "1004"), Meaning.OURS),
    "1113": Meaning.OURS,  # our balance, as a 429
    **dict.fromkeys(("1210", "1211", "1212", "1213", "1214", "1301"), Meaning.REFUSED),
    "1261": Meaning.TOO_LONG,
    **dict.fromkeys(("1302", "1303", "1305"), Meaning.BUSY),
    "434": Meaning.OURS,  # the account may not use this
    "435": Meaning.REFUSED,  # a file is too large
}
_OPENAI_MEANINGS = {
    **dict.fromkeys(("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"), Meaning.OURS),
    "invalid_api_key": Meaning.OURS,
}

UPSTREAMS = {
    row.name: row
    for row in (
        # a high-detail image is at most 85 + 8 × 170 tokens on the tile models; patch-based ones stay below 2,500
        Upstream(
            "openai", "https://api.openai.com/v1",
            image_tokens_max=3_000, output_bound_name="max_completion_tokens", renames_developer=False, effort=efforts.openai,
            adds=(("store", False),),  # an account may be set to store every answer
            meanings=_OPENAI_MEANINGS,
        ),
        Upstream("anthropic", "https://api.anthropic.com/v1", "anthropic", image_tokens_max=5_000),
        Upstream("google", "https://generativelanguage.googleapis.com/v1beta", "google", image_tokens_max=5_000),
        Upstream(
            "xai", "https://api.x.ai/v1",
            output_bound_name="max_completion_tokens", effort=efforts.xai, omits=_OPENAIS_HINTS, refuses=("stop",),
            drops=(*_NO_PENALTIES, _OPENAIS_WISH, "tools.strict", "messages.name"),
        ),
        Upstream(
            "dashscope", "https://dashscope-intl.aliyuncs.com", path_prefix="/compatible-mode/v1",
            output_bound_name="max_completion_tokens", effort=efforts.dashscope, drops=(_OPENAIS_WISH,), omits=_OPENAIS_HINTS,
            meanings={"Arrearage": Meaning.OURS},
        ),
        Upstream(
            "zhipu", "https://api.z.ai/api/paas/v4",
            drops=(*_NO_LOGITS, *_NO_PENALTIES, "seed", _OPENAIS_WISH), omits=_OPENAIS_HINTS, renames=(("user", "user_id"),),
            temperature_range=(0.01, 0.99),  # strictly between 0 and 1
            adds_at_zero=(("do_sample", False),), adds_to_streamed_tools=(("tool_stream", True),), chooses_tools_itself=True,
            effort=efforts.zhipu, meanings=_ZHIPU_MEANINGS,
        ),
        Upstream(
            "minimax", "https://api.minimax.io/v1",
            drops=(*_NO_LOGITS, *_NO_PENALTIES, _OPENAIS_WISH), omits=_OPENAIS_HINTS, refuses=("n",),
            temperature_range=(0.01, 1.0), effort=efforts.always,
            adds=(("reasoning_split", True),),  # or thoughts come inside the answer, between tags
            keeps_reasoning_details=True,
            meanings=MINIMAX_MEANINGS,
        ),
        Upstream(
            "mimo", "https://api.xiaomimimo.com/v1", output_bound_name="max_completion_tokens", keeps_reasoning=True,
            effort=efforts.switched, drops=(_OPENAIS_WISH,), omits=_OPENAIS_HINTS,
        ),
        Upstream(
            "moonshot", "https://api.moonshot.ai/v1", drops=("temperature", _OPENAIS_WISH), omits=_OPENAIS_HINTS,
            keeps_reasoning=True, flattens_text=True, effort=efforts.moonshot,
            meanings={"exceeded_current_quota_error": Meaning.OURS},
        ),
        Upstream(
            "deepseek", "https://api.deepseek.com", keeps_reasoning=True, effort=efforts.deepseek,
            drops=(_OPENAIS_WISH, "tools.strict"), omits=_OPENAIS_HINTS, drops_thinking=("temperature", "top_p", *_NO_PENALTIES),
        ),
        Upstream(
            "ark", "https://ark.cn-beijing.volces.com/api/v3", effort=efforts.switched, drops=(_OPENAIS_WISH,), omits=_OPENAIS_HINTS,
        ),
        Upstream("kling", "https://api-singapore.klingai.com", None),
    )
}  # fmt: skip

#: the sandbox speaks each vendor's own wire, so that a fresh install goes through the real adapters
_SANDBOX_PATHS = {"openai": "/v1", "anthropic": "/anthropic/v1", "google": "/google/v1beta"}


def key_headers(dialect: str, key: str) -> tuple[tuple[str, str], ...]:
    """How each wire carries our key; without one (a base URL alone) only what the wire cannot do without."""
    match dialect:
        case "anthropic":
            version = ("anthropic-version", ANTHROPIC_VERSION)
            return (("x-api-key", key), version) if key else (version,)
        case "google":
            return (("x-goog-api-key", key),) if key else ()
    return (("authorization", f"Bearer {key}"),) if key else ()


def is_configured(name: str) -> bool:
    """A key, or a base URL alone (a real upstream without auth)."""
    credentials: dict[str, Any] = settings.UPSTREAMS.get(name, {})
    return bool(credentials.get("api_key") or credentials.get("base_url"))


def reach(name: str) -> Upstream | None:
    """The upstream as configured here; the sandbox in place of one without credentials; None: cannot be reached."""
    upstream = UPSTREAMS.get(name)
    if upstream is None or not is_configured(name):
        return _sandbox(upstream)
    if upstream.dialect is None:
        return None
    credentials: dict[str, Any] = settings.UPSTREAMS[name]
    return replace(
        upstream,
        base_url=credentials["base_url"] or upstream.base_url,
        headers=key_headers(upstream.dialect, credentials["api_key"]),
        bills_after_hang_up=upstream.bills_after_hang_up or credentials["bills_after_hang_up"],
    )


def _sandbox(stands_in_for: Upstream | None) -> Upstream | None:
    if not settings.SANDBOX or not settings.SANDBOX_URL:
        return None
    row = stands_in_for if stands_in_for is not None and stands_in_for.dialect else Upstream("", "")
    dialect = row.dialect or "openai"
    return replace(  # with the vendor's habits: what a fresh install drops and refuses is what the vendor's own route would
        row,
        name="sandbox",
        base_url=settings.SANDBOX_URL + _SANDBOX_PATHS[dialect],
        path_prefix="",
        headers=key_headers(dialect, ""),
        image_tokens_max=3_000,
        is_sandbox=True,
    )
