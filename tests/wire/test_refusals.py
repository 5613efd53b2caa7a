"""What every vendor's refusal means for the caller: whose fault it is, when to come back, and none of our secrets."""

import dataclasses
from typing import Any

import orjson
import pytest

from gateway.adapters import ADAPTERS, ChatEvents
from gateway.errors import (
    ContextLengthExceeded,
    InvalidRequest,
    NoUpstreamAvailable,
    RateLimitExceeded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.upstreams import openai
from gateway.upstreams.registry import UPSTREAMS, key_headers
from tokenhub.errors import TokenHubError

type Json = dict[str, Any]

VENDORS = [name for name, row in UPSTREAMS.items() if row.dialect is not None]
KEY = "th1s-1s-0ur-k3y"
OURS, REFUSED, TOO_LONG = NoUpstreamAvailable, InvalidRequest, ContextLengthExceeded
BUSY, SLOW, FAILED = RateLimitExceeded, UpstreamTimeout, UpstreamError


def refusal(vendor: str, status: int, body: bytes | Json, **headers: str) -> TokenHubError:
    row = UPSTREAMS[vendor]
    upstream = dataclasses.replace(row, headers=key_headers(row.dialect or "", KEY))
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return ADAPTERS[row.dialect or ""].error_of(upstream, status, headers, raw)


def kin(code: Any = None, message: str = "no", type_: str = "invalid_request_error", **more: Any) -> Json:
    return {"error": {"message": message, "type": type_, "param": None, "code": code, **more}}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, REFUSED), (401, OURS), (402, OURS), (403, OURS), (404, OURS), (408, SLOW), (409, FAILED), (413, REFUSED),
        (422, REFUSED), (429, BUSY), (500, FAILED), (502, FAILED), (503, FAILED), (504, SLOW), (520, FAILED), (529, FAILED),
    ],
)  # fmt: skip
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>nginx</html>", b"null", b"[]", b'{"error":null}', b'{"error":{"message":null}}']
)
def test_the_status_alone_has_a_meaning_at_every_vendor(vendor: str, status: int, error: type, body: bytes) -> None:
    ours = refusal(vendor, status, body)
    assert type(ours) is error
    assert ours.message and "nginx" not in ours.message
    if ours.status == 429 or ours.status >= 500:
        assert 1 <= int(ours.headers["retry-after"]) <= 120


@pytest.mark.parametrize(
    ("vendor", "status", "body", "error"),
    [
        ("openai", 400, kin("context_length_exceeded"), TOO_LONG),
        ("openai", 429, kin("insufficient_quota", type_="insufficient_quota"), OURS),
        ("openai", 429, kin("credit_balance_exhausted"), OURS),
        ("openai", 429, kin("rate_limit_exceeded", type_="requests"), BUSY),
        ("openai", 503, kin("server_is_overloaded"), FAILED),
        ("openai", 503, kin("slow_down"), FAILED),
        ("xai", 400, {"code": "Client specified an invalid argument", "error": "Model does not take stop."}, REFUSED),
        ("xai", 400, {"code": "x", "error": "This model's maximum prompt length is 256000 but 300000 were sent."}, TOO_LONG),
        ("xai", 403, {"code": "The caller does not have permission", "error": "Your team has no credits."}, OURS),
        ("xai", 429, {"code": "x", "error": "Too many requests for team: 7 RPS"}, BUSY),
        ("dashscope", 400, kin("InvalidParameter"), REFUSED),
        ("dashscope", 400, kin("data_inspection_failed"), REFUSED),
        ("dashscope", 400, kin("Arrearage", "Access denied, overdue."), OURS),
        ("dashscope", 400, {"code": "Arrearage", "message": "overdue", "request_id": "r"}, OURS),
        ("dashscope", 400, kin("InvalidParameter", "Range of input length should be [1, 98304]"), TOO_LONG),
        ("dashscope", 429, kin("Throttling.RateQuota"), BUSY),
        ("zhipu", 401, kin("1002"), OURS),
        ("zhipu", 429, kin("1113", "余额不足"), OURS),
        ("zhipu", 400, kin("1210"), REFUSED),
        ("zhipu", 400, kin("1214"), REFUSED),
        ("zhipu", 400, kin("1261", "Prompt too long"), TOO_LONG),
        ("zhipu", 400, kin("1301", "系统检测到敏感内容"), REFUSED),
        ("zhipu", 429, kin("1302"), BUSY),
        ("zhipu", 429, kin("1305"), BUSY),
        ("zhipu", 434, kin(), OURS),
        ("zhipu", 435, kin(message="File too large"), REFUSED),
        ("zhipu", 500, kin("1234", "network error"), FAILED),
        ("minimax", 401, kin(), OURS),
        ("minimax", 429, kin(), BUSY),
        ("mimo", 402, kin(), OURS),
        ("moonshot", 429, kin(None, type_="rate_limit_reached_error"), BUSY),
        ("moonshot", 429, kin(None, type_="engine_overloaded_error"), BUSY),
        ("moonshot", 429, kin(None, type_="exceeded_current_quota_error"), OURS),
        ("moonshot", 400, kin(None, "Invalid request: Your request exceeded model token limit: 262144"), TOO_LONG),
        ("deepseek", 402, kin("invalid_request_error", "Insufficient Balance"), OURS),
        ("deepseek", 422, kin(message="Invalid parameters"), REFUSED),
        ("deepseek", 400, kin("invalid_request_error", "This model's maximum context length is 131072 tokens."), TOO_LONG),
        ("ark", 400, kin("InvalidParameter"), REFUSED),
        ("ark", 400, kin("InputTextSensitiveContentDetected"), REFUSED),
        ("ark", 403, kin("AccountOverdueError"), OURS),
        ("ark", 404, kin("InvalidEndpointOrModel.NotFound"), OURS),
        ("ark", 429, kin("SetLimitExceeded"), BUSY),
        ("anthropic", 400, {"type": "error", "error": {"type": "x", "message": "prompt is too long: 250000 tokens > 200000"}}, TOO_LONG),
        ("anthropic", 400, {"type": "error", "error": {"type": "x", "message": "Your credit balance is too low"}}, OURS),
        ("anthropic", 529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, FAILED),
        ("google", 400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "bad"}}, REFUSED),
        ("google", 400, {"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "location"}}, OURS),
        ("google", 503, {"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}, FAILED),
    ],
)  # fmt: skip
def test_each_vendors_own_words_have_their_meaning(vendor: str, status: int, body: Json, error: type) -> None:
    ours = refusal(vendor, status, body)
    assert type(ours) is error
    if error is OURS:  # the caller can do nothing about it, and is told nothing about it
        assert ours.message == "This model cannot be reached right now. The operator has been told."
    if error is TOO_LONG:
        assert ours.param == "messages"
    if ours.status >= 429:
        assert ours.headers["retry-after"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_vendor_says_when_to_come_back_and_is_believed_up_to_two_minutes(vendor: str) -> None:
    for status in (429, 500, 503, 529):
        waits = [
            refusal(vendor, status, b"", **{"retry-after": said}).headers["retry-after"]
            for said in ("7", "99999", "0", "soon", "-1", "")
        ]
        assert waits == ["7", "120", "1", "1", "1", "1"]


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        "sk-proj-abcDEF123",
        "sk-****abcd",
        "ak-f00ba4f00ba4",
        "org-Xy12ab",
        "req_011CQ",
        "Bearer eyJhbGciOi.J9.x",
        "https://api.openai.com/v1/chat",
        "api.moonshot.ai",
        "gw7.prod.internal:8443/v1",
        "10.0.3.7:443",
        "ops@tokenhub.example",
        "account 2100456789",
        "account_id: acme-42",
        "project projects/889900112233",
        'organization "Acme Corp"',
    ],
)
@pytest.mark.parametrize("vendor", ["openai", "anthropic", "google", "zhipu"])
def test_a_vendors_words_reach_the_caller_without_our_secrets(vendor: str, secret: str) -> None:
    ours = refusal(vendor, 400, {"error": {"message": f"tools[0].name is wrong for {secret} today"}})
    assert secret not in ours.message
    assert ours.message.startswith("tools[0].name is wrong for ") and ours.message.endswith("today")
    for word in ("Acme", "acme", "889900112233", "2100456789"):
        assert word not in ours.message


def test_ordinary_words_are_passed_on_as_they_are() -> None:
    words = (
        "Invalid value for 'max_tokens': 1000000000 is above 8192. See version 1.5 of the account of tools.0.function."
    )
    ours = refusal("openai", 400, kin("invalid_value", words, param="max_tokens"))
    assert (ours.message, ours.param) == (words, "max_tokens")
    assert len(refusal("openai", 400, kin(message="x" * 9_000)).message) == 500


# ---------------------------------------------------------------- a 200 that failed


@pytest.mark.parametrize(
    ("code", "error"),
    [(1002, BUSY), (1004, OURS), (1008, OURS), (1013, FAILED), (1026, REFUSED), (1027, REFUSED), (1039, TOO_LONG), (2013, REFUSED), (9999, FAILED)],
)  # fmt: skip
def test_minimaxs_failures_inside_a_200_have_the_same_meanings(code: int, error: type) -> None:
    with pytest.raises(openai.Failed) as failed:
        openai.check_base_response({"status_code": code, "status_msg": f"bad {KEY}"})
    assert type(failed.value.error) is error
    assert KEY not in failed.value.error.message
    body = orjson.dumps({"choices": None, "base_resp": {"status_code": code}})
    with pytest.raises(openai.Failed) as failed:
        ADAPTERS["openai"].complete(body)
    assert type(failed.value.error) is error
    events = ChatEvents()
    list(events.feed(b'data: {"choices":[],"base_resp":{"status_code":%d}}' % code))
    assert events.error is not None and not events.finished


@pytest.mark.parametrize("reason", ["network_error", "insufficient_system_resource"])
def test_an_answer_that_the_vendor_gave_up_on_is_its_failure(reason: str) -> None:
    with pytest.raises(openai.Failed) as failed:
        openai.normalise_ends([{"finish_reason": reason}])
    assert type(failed.value.error) is FAILED
