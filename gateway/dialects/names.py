"""What a client of another dialect calls a parameter of chat completions: a fault names the caller's own field. Pure."""

import re
from collections.abc import Mapping

MESSAGES = {
    "stop": "stop_sequences",
    "max_completion_tokens": "max_tokens",
    "response_format": "output_config.format",
    "reasoning_effort": "output_config.effort",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "user": "metadata.user_id",
}
RESPONSES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "logprobs": "include",
}
_TOOL = re.compile(r"tools\[\d+\]")


def renamed(param: str, names: Mapping[str, str]) -> str:
    """``param`` as the caller knows it. A name that is the caller's own already stays.

    Places inside chat's messages are told as the caller's whole input where that has another name: it is counted otherwise.
    """
    head = re.split(r"[.\[]", param, maxsplit=1)[0]
    own = names.get(head, head)
    if head == "messages":
        return param if own == head else own
    rest = param[len(head) :].removeprefix(".json_schema")
    if _TOOL.match(param):
        schema = ".input_schema" if names is MESSAGES else ".parameters"
        rest = rest.replace(".function", "", 1).replace(".parameters", schema, 1)
    return own + rest
