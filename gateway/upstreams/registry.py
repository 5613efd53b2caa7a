"""The vendors as data: an ordinary one is a row. Facts: the vendors' API references (base URLs read November 2026)."""

from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a vendor is and how it behaves."""

    name: str
    base_url: str
    #: the wire format we speak to it; None: not spoken yet, so its models are answered by the sandbox or not at all
    dialect: str | None
    headers: tuple[tuple[str, str], ...] = ()
    #: the vendor goes on billing after we hang up: read on for its usage instead of stopping it
    bills_after_hang_up: bool = False
    #: the most tokens that one image of a prompt can become
    image_tokens_max: int = 16_384
    is_sandbox: bool = False


UPSTREAMS = {
    row.name: row
    for row in (
        # a high-detail image is at most 85 + 8 × 170 tokens on the tile models; patch-based ones stay below 2,500
        Upstream("openai", "https://api.openai.com/v1", "openai", image_tokens_max=3_000),
        Upstream("anthropic", "https://api.anthropic.com/v1", None),
        Upstream("google", "https://generativelanguage.googleapis.com/v1beta", None),
        Upstream("xai", "https://api.x.ai/v1", None),
        Upstream("dashscope", "https://dashscope-intl.aliyuncs.com", None),
        Upstream("zhipu", "https://api.z.ai/api/paas/v4", None),
        Upstream("minimax", "https://api.minimax.io/v1", None),
        Upstream("mimo", "https://api.xiaomimimo.com/v1", None),
        Upstream("moonshot", "https://api.moonshot.ai/v1", None),
        Upstream("deepseek", "https://api.deepseek.com", None),
        Upstream("ark", "https://ark.cn-beijing.volces.com/api/v3", None),
        Upstream("kling", "https://api-singapore.klingai.com", None),
    )
}


def is_configured(name: str) -> bool:
    """A key, or a base URL alone (a real upstream without auth)."""
    credentials: dict[str, Any] = settings.UPSTREAMS.get(name, {})
    return bool(credentials.get("api_key") or credentials.get("base_url"))


def reach(name: str) -> Upstream | None:
    """The upstream as configured here; the sandbox in place of one without credentials; None: cannot be reached."""
    if name != "sandbox" and is_configured(name):
        upstream = UPSTREAMS[name]
        credentials: dict[str, Any] = settings.UPSTREAMS[name]
        if upstream.dialect is None:
            return None
        key = credentials["api_key"]
        return replace(
            upstream,
            base_url=credentials["base_url"] or upstream.base_url,
            headers=(("authorization", f"Bearer {key}"),) if key else (),
            bills_after_hang_up=upstream.bills_after_hang_up or credentials["bills_after_hang_up"],
        )
    return _sandbox()


def _sandbox() -> Upstream | None:
    if not settings.SANDBOX or not settings.SANDBOX_URL:
        return None
    return Upstream("sandbox", f"{settings.SANDBOX_URL}/v1", "openai", image_tokens_max=3_000, is_sandbox=True)
