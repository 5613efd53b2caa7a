"""A checked body's parameters as one OpenAI-shaped vendor takes them, by its row of the registry. Pure. (Messages: openai.fitted.)"""

from typing import Any

from gateway.dialects.faults import Unsupported
from gateway.upstreams.registry import Upstream

type Json = dict[str, Any]


def fitted_parameters(body: Json, upstream: Upstream, upstream_model: str, *, stream: bool) -> tuple[Json, list[str]]:
    """The body in the vendor's words, and the names of what was dropped or clamped. ``body`` is left as it is.

    Raises Unsupported, naming the parameter, for what the vendor cannot do.
    """
    for name in upstream.refuses:
        if name in body:
            raise Unsupported(f"`{name}`: this model's vendor does not offer it.", name)
    out, adjusted = {name: value for name, value in body.items() if name not in upstream.omits}, list[str]()
    _fit_tools(out, upstream, stream)
    _drop(out, adjusted, (*upstream.drops, *_ignored_while_thinking(body, upstream)))
    _fit_temperature(out, adjusted, upstream)
    _fit_effort(out, adjusted, upstream, upstream_model)
    for ours, theirs in upstream.renames:
        if ours in out:
            out[theirs] = out.pop(ours)
    return out, adjusted


def _fit_tools(out: Json, upstream: Upstream, stream: bool) -> None:
    if upstream.chooses_tools_itself and "tool_choice" in out:
        choice = out.pop("tool_choice")
        if choice == "none":  # the vendor has no word for it: what is not offered is not called
            out.pop("tools", None)
        elif choice != "auto":
            message = "This model decides itself whether to call a tool: `tool_choice` can be auto or none."
            raise Unsupported(message, "tool_choice")
    if stream and out.get("tools"):
        out |= dict(upstream.adds_to_streamed_tools)


def _ignored_while_thinking(body: Json, upstream: Upstream) -> tuple[str, ...]:
    return upstream.drops_thinking if body.get("reasoning_effort") != "none" else ()


def _drop(out: Json, adjusted: list[str], names: tuple[str, ...]) -> None:
    for name in names:
        parent, _, leaf = name.partition(".")
        if leaf and any(leaf in _inner(one) for one in out.get(parent) or ()):
            out[parent] = [_without(one, leaf) for one in out[parent]]
            adjusted.append(name)
        elif not leaf and out.pop(name, None) is not None:
            adjusted.append(name)


def _inner(one: Json) -> Json:
    """Where the fields of a tool are; a message has its own."""
    function: Json = one.get("function", one)
    return function


def _without(one: Json, leaf: str) -> Json:
    inner = {name: value for name, value in _inner(one).items() if name != leaf}
    return {**one, "function": inner} if "function" in one else inner


def _fit_temperature(out: Json, adjusted: list[str], upstream: Upstream) -> None:
    temperature = out.get("temperature")
    if temperature is None:
        return
    if temperature == 0 and upstream.adds_at_zero:
        del out["temperature"]
        out |= dict(upstream.adds_at_zero)
        return
    least, most = upstream.temperature_range
    out["temperature"] = min(max(temperature, least), most)
    if out["temperature"] != temperature:
        adjusted.append("temperature")


def _fit_effort(out: Json, adjusted: list[str], upstream: Upstream, upstream_model: str) -> None:
    if upstream.effort is None or "reasoning_effort" not in out:
        return
    said, as_asked = upstream.effort(out.pop("reasoning_effort"), upstream_model)
    out |= said
    if not as_asked:
        adjusted.append("reasoning_effort")
