"""``expand[]``: ids replaced by the objects they name, along dotted paths."""

import copy

from billing.stripe_sandbox import charges, checkout
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, StripeError, invalid

#: lists that are no field of their object until asked for
COMPUTED = {
    ("checkout.session", "line_items"): checkout.expand_line_items,
    ("charge", "refunds"): charges.expand_refunds,
}
DEPTH_MOST = 4


def expand(call: Call, answer: Json) -> Json:
    paths = read.texts(call.params, "expand")
    if not paths:
        return answer
    answer = copy.deepcopy(answer)
    for path in paths:
        steps = path.split(".")
        if len(steps) > DEPTH_MOST:
            raise invalid(f"You cannot expand more than {DEPTH_MOST} levels of a property ({path})", "expand")
        _expand(call, answer, steps, path)
    return answer


def _expand(call: Call, node: Json, steps: list[str], path: str) -> None:
    step, *rest = steps
    if node.get("object") == "list" and step == "data":
        for item in node["data"]:
            if rest:
                _expand(call, item, rest, path)
        return
    compute = COMPUTED.get((str(node.get("object")), step))
    if compute is not None and step not in node:
        node[step] = compute(call, node)
    elif step not in node:
        raise _not_expandable(path)
    if isinstance(node[step], str):
        found = call.store.find(node[step])
        if found is None:
            raise _not_expandable(path)
        node[step] = found
    if rest and isinstance(node[step], dict):
        _expand(call, node[step], rest, path)


def _not_expandable(path: str) -> StripeError:
    return invalid(f"This property cannot be expanded ({path}).", "expand")
