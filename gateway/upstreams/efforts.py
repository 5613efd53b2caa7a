"""How each vendor is told how much to think. Pure.

Each function takes chat's ``reasoning_effort`` and the vendor's model, and returns the vendor's parameters, and whether they say what
was asked rather than the nearest the vendor has a word for.
"""

import re
from collections.abc import Callable
from typing import Any

type Json = dict[str, Any]
type Effort = Callable[[str, str], tuple[Json, bool]]

_OFF, _ON = {"thinking": {"type": "disabled"}}, {"thinking": {"type": "enabled"}}
#: vendors with three levels
_THREE = {"minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "max", "max": "max"}
#: tokens to think with, for vendors that take a budget
_BUDGETS = {"minimal": 1_024, "low": 1_024, "medium": 4_096, "high": 16_384, "xhigh": 24_576, "max": 32_768}


def openai(effort: str, model: str) -> tuple[Json, bool]:
    """``minimal`` ended with gpt-5.4; gpt-6-astra and gpt-6.1-sol always think."""
    version = _version(model, "gpt")
    nearest = effort
    if effort == "minimal" and version >= (5, 4):
        nearest = "low"
    if effort == "none" and model.startswith(("gpt-6-astra", "gpt-6.1-sol")):
        nearest = "low"
    return {"reasoning_effort": nearest}, nearest == effort


def xai(effort: str, model: str) -> tuple[Json, bool]:
    """Only Grok 4.3 lists the parameter, with these four words; the others refuse it."""
    if not model.startswith("grok-4.3"):
        return {}, False
    nearest = {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
    return {"reasoning_effort": nearest}, nearest == effort


def deepseek(effort: str, model: str) -> tuple[Json, bool]:
    if effort == "none":
        return _OFF, True
    level = _THREE[effort]
    is_felt = not (level == "low" and "v4-pro" in model)  # V4 Pro treats low as high
    return {**_ON, "reasoning_effort": level}, level == effort and is_felt


def zhipu(effort: str, model: str) -> tuple[Json, bool]:
    """Levels came with GLM-5.2; before, thinking is on or off."""
    if effort == "none":
        return _OFF, True
    if _version(model, "glm") < (5, 2):
        return _ON, False
    return {**_ON, "reasoning_effort": _THREE[effort]}, _THREE[effort] == effort


def dashscope(effort: str, model: str) -> tuple[Json, bool]:
    if effort == "none":
        return {"enable_thinking": False}, True
    return {"enable_thinking": True, "thinking_budget": _BUDGETS[effort]}, True


def switched(effort: str, model: str) -> tuple[Json, bool]:
    """MiMo, Ark: thinking is on or off, and that is all that can be said."""
    return (_OFF, True) if effort == "none" else (_ON, False)


def moonshot(effort: str, model: str) -> tuple[Json, bool]:
    """On or off; the code models always think."""
    return (_ON, False) if "k2.7-code" in model else switched(effort, model)


def always(effort: str, model: str) -> tuple[Json, bool]:
    """MiniMax: the model thinks as it sees fit."""
    return {}, False


def _version(model: str, family: str) -> tuple[int, int]:
    """(major, minor); an id without a number is the newest."""
    found = re.search(rf"{family}-(\d{{1,2}})(?:\.(\d{{1,2}}))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)
