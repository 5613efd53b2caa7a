"""What a key may do is decided where its calls are admitted: for every process, from the next call on."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from accounts import keys
from gateway.models import Model
from tests.gateway.conftest import chat, new_customer
from tokenhub.clock import now

ALLOWED, OTHER = "openai/gpt-4.1", "anthropic/claude-sonnet-4-6"


def ids(*slugs: str) -> list[int]:
    return list(Model.objects.filter(slug__in=slugs).values_list("pk", flat=True))


def test_a_key_with_models_is_refused_others_by_name(client: httpx.Client) -> None:
    someone = new_customer(allowed_model_ids=ids(ALLOWED))
    assert client.post("/chat/completions", json=chat(model=ALLOWED), headers=someone.headers).status_code == 200
    refused = client.post("/chat/completions", json=chat(model=OTHER), headers=someone.headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (403, "permission_error", "model_not_allowed")
    assert OTHER in error["message"]
    assert ALLOWED not in error["message"]
    assert someone.wallet.held_nanos == 0


@pytest.mark.parametrize(("path", "body"), [("/messages", {"max_tokens": 50}), ("/responses", {})])
def test_every_dialect_keeps_to_the_keys_models(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    someone = new_customer(allowed_model_ids=ids(ALLOWED))
    asked = chat(model=OTHER, **body)
    if path == "/responses":
        asked["input"] = asked.pop("messages")
    refused = client.post(path, json=asked, headers=someone.headers)
    assert refused.status_code == 403
    assert refused.json()["error"]["type"] == "permission_error"
    assert OTHER in refused.json()["error"]["message"]


def test_a_fallback_must_be_allowed_too(client: httpx.Client) -> None:
    someone = new_customer(allowed_model_ids=ids(ALLOWED))
    asked = chat(model=ALLOWED, models=[ALLOWED, OTHER])
    refused = client.post("/chat/completions", json=asked, headers=someone.headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")


@pytest.mark.parametrize("ip_ranges", [["203.0.113.0/24"], ["2001:db8::/32"]])
def test_a_key_with_networks_is_refused_from_elsewhere(client: httpx.Client, ip_ranges: list[str]) -> None:
    someone = new_customer(ip_ranges=ip_ranges)
    refused = client.post("/chat/completions", json=chat(), headers=someone.headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["type"], error["code"]) == (403, "permission_error", "ip_not_allowed")
    assert someone.wallet.held_nanos == 0


def test_a_key_with_networks_works_from_inside_them(client: httpx.Client) -> None:
    someone = new_customer(ip_ranges=["203.0.113.0/24", "127.0.0.0/8"])
    assert client.post("/chat/completions", json=chat(), headers=someone.headers).status_code == 200


def test_a_disabled_key_is_dead_from_the_next_call_on_and_alive_again_when_enabled(client: httpx.Client) -> None:
    someone = new_customer()

    def statuses() -> list[int]:
        call = client.post("/chat/completions", json=chat(), headers=someone.headers)
        return [call.status_code, client.get("/credits", headers=someone.headers).status_code]

    assert statuses() == [200, 200]
    keys.disable(key=someone.key_row, actor=None)
    assert statuses() == [401, 401]
    keys.enable(key=someone.key_row, actor=None)
    assert statuses() == [200, 200]


def test_a_rotated_key_works_until_its_overlap_ends_and_its_successor_on(client: httpx.Client) -> None:
    someone = new_customer()
    successor = keys.rotate(key=someone.key_row, actor=None, overlap=timedelta(hours=1))
    assert successor is not None
    fresh = {"authorization": f"Bearer {successor.secret}"}
    for headers in (someone.headers, fresh):
        assert client.post("/chat/completions", json=chat(), headers=headers).status_code == 200
    keys.change(key=someone.key_row, actor=None, name="test", expires_at=now())
    assert client.post("/chat/completions", json=chat(), headers=someone.headers).status_code == 401
    assert client.post("/chat/completions", json=chat(), headers=fresh).status_code == 200


def test_a_keys_limit_is_named_as_the_key_and_raising_it_helps_at_once(client: httpx.Client) -> None:
    someone = new_customer(limit_nanos=10_000_000, limit_window="month")
    asked = chat(max_tokens=4_000)  # 4,000 × $8 / M is more than a cent
    refused = client.post("/chat/completions", json=asked, headers=someone.headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["limit_source"]) == (402, "insufficient_credits", "key")
    keys.change(key=someone.key_row, actor=None, name="test", limit_nanos=1_000_000_000)
    assert client.post("/chat/completions", json=asked, headers=someone.headers).status_code == 200
