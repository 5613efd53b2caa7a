"""The vendors as data: an ordinary one is a row. Facts: the vendors' API references (base URLs read November 2026)."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

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
    drops: tuple[str, ...] = ()  # parameters that it refuses or ignores; named to the caller
    renames_developer: bool = True  # knows only `system`
    keeps_reasoning: bool = False  # wants `reasoning_content` of earlier turns back
    flattens_text: bool = False  # takes text only as a string
    temperature_range: tuple[float, float] = (0.0, 2.0)
    adds: tuple[tuple[str, Any], ...] = ()  # said with every call


_NO_LOGITS = ("logit_bias", "logprobs", "top_logprobs")

UPSTREAMS = {
    row.name: row
    for row in (
        # a high-detail image is at most 85 + 8 × 170 tokens on the tile models; patch-based ones stay below 2,500
        Upstream(
            "openai", "https://api.openai.com/v1",
            image_tokens_max=3_000, output_bound_name="max_completion_tokens", renames_developer=False,
        ),
        Upstream("anthropic", "https://api.anthropic.com/v1", "anthropic", image_tokens_max=5_000),
        Upstream("google", "https://generativelanguage.googleapis.com/v1beta", "google", image_tokens_max=5_000),
        Upstream(
            "xai", "https://api.x.ai/v1",
            output_bound_name="max_completion_tokens", drops=("stop", "presence_penalty", "frequency_penalty"),
        ),
        Upstream("dashscope", "https://dashscope-intl.aliyuncs.com", path_prefix="/compatible-mode/v1"),
        Upstream(
            "zhipu", "https://api.z.ai/api/paas/v4",
            drops=(*_NO_LOGITS, "presence_penalty", "frequency_penalty", "seed"), temperature_range=(0.01, 0.99),  # strictly between 0 and 1
        ),
        Upstream(
            "minimax", "https://api.minimax.io/v1",
            drops=(*_NO_LOGITS, "presence_penalty", "frequency_penalty"), temperature_range=(0.01, 1.0),
            adds=(("reasoning_split", True),),  # or thoughts come inside the answer, between tags
        ),
        Upstream("mimo", "https://api.xiaomimimo.com/v1", output_bound_name="max_completion_tokens", keeps_reasoning=True),
        Upstream("moonshot", "https://api.moonshot.ai/v1", drops=("temperature",), keeps_reasoning=True, flattens_text=True),
        Upstream("deepseek", "https://api.deepseek.com", keeps_reasoning=True),
        Upstream("ark", "https://ark.cn-beijing.volces.com/api/v3"),
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
    dialect = (stands_in_for.dialect if stands_in_for is not None else None) or "openai"
    return Upstream(
        "sandbox",
        settings.SANDBOX_URL + _SANDBOX_PATHS[dialect],
        dialect,
        headers=key_headers(dialect, ""),
        image_tokens_max=3_000,
        is_sandbox=True,
        output_bound_name="max_completion_tokens",
        renames_developer=False,
    )
