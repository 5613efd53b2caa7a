"""Stripe's list objects: newest first, pages by ``starting_after``, filters by time and by field."""

from typing import Any

import orjson

from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, missing

PAGE_DEFAULT = 10
PAGE_MOST = 100
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def page(call: Call, kind: str, url: str, filters: dict[str, str] | None = None) -> Json:
    """``filters`` maps a parameter's name to the object's field it must equal."""
    tests, values = ["kind = ?"], [kind]
    for name, field in (filters or {}).items():
        wanted = read.text(call.params, name)
        if wanted is not None:
            tests.append(f"json_extract(body, '$.{field}') = ?")
            values.append(wanted)
    _by_time(call, tests, values)
    return _page(call, url, tests, values)


def events_page(call: Call, url: str) -> Json:
    tests, values = ["kind = 'event'"], []
    wanted = [*read.texts(call.params, "types"), *([t] if (t := read.text(call.params, "type")) else [])]
    if wanted:  # `charge.*` names a group
        tests.append("(" + " OR ".join("json_extract(body, '$.type') GLOB ?" for _ in wanted) + ")")
        values.extend(wanted)
    _by_time(call, tests, values)
    return _page(call, url, tests, values)


def whole(items: list[Json], url: str) -> Json:
    """A list without further pages."""
    return {"object": "list", "data": items, "has_more": False, "url": url}


def _by_time(call: Call, tests: list[str], values: list[Any]) -> None:
    given = call.params.get("created")
    limits = given if isinstance(given, dict) else {} if given is None else {"gte": given, "lte": given}
    for name, seconds in limits.items():
        if name not in COMPARISONS:
            raise invalid(f"Received unknown parameter: created[{name}]", f"created[{name}]", "parameter_unknown")
        tests.append(f"created {COMPARISONS[name]} ?")
        values.append(read.integer({"created": seconds}, "created"))


def _page(call: Call, url: str, tests: list[str], values: list[Any]) -> Json:
    limit = read.integer(call.params, "limit", PAGE_DEFAULT) or 0
    if not 1 <= limit <= PAGE_MOST:
        raise invalid(f"This value must be between 1 and {PAGE_MOST}.", "limit")
    newest_first = True
    for name, comparison in (("starting_after", "<"), ("ending_before", ">")):
        if (id := read.text(call.params, name)) is not None:
            tests.append(f"place {comparison} ?")
            values.append(_place(call, id, name))
            newest_first = name == "starting_after"
    order = "DESC" if newest_first else "ASC"
    sql = f"SELECT body FROM objects WHERE {' AND '.join(tests)} ORDER BY place {order} LIMIT ?"  # noqa: S608
    found = [orjson.loads(row["body"]) for row in call.store.execute(sql, *values, limit + 1)]
    data = found[:limit] if newest_first else found[:limit][::-1]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def _place(call: Call, id: str, param: str) -> int:
    rows = call.store.execute("SELECT place FROM objects WHERE id = ?", id)
    if not rows:
        raise missing("object", id, status=400, param=param)
    return int(rows[0]["place"])
