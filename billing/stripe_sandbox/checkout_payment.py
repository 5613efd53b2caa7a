"""How a session is paid, from its page or by a test: with a card, or from a bank account that settles later."""

from dataclasses import dataclass

from billing.stripe_sandbox import cards, customers, events, payment_methods, payments, setup_intents
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, invalid, refused

OUTCOMES = ("success", "decline", "authenticate", "fail_authentication", "delayed_success", "delayed_failure")
#: the card of an outcome that names none
DEFAULT_CARDS = {"decline": cards.DECLINED_CARD, "authenticate": cards.CARD_TO_AUTHENTICATE}
SETTLES_AFTER_SECONDS = 10


@dataclass(frozen=True)
class Payer:
    """What somebody fills in on the page."""

    card: str = ""
    email: str | None = None
    name: str | None = None
    country: str | None = "US"
    saves_method: bool = False


def pay(call: Call, id: str, outcome: str, payer: Payer, *, settles_after_seconds: int | None) -> Json:
    """The session afterwards: complete, or open where authentication is asked for. Raises 402 on a decline.

    ``settles_after_seconds`` is for delayed outcomes; None waits until the test says so.
    """
    session = call.store.get("checkout.session", id)
    if session["status"] != "open":
        raise refused(f"This Checkout Session is {session['status']}.", "checkout_session_not_open")
    if outcome in ("authenticate", "fail_authentication") and _asks_authentication(call, session):
        return _answer_authentication(call, session, passed=outcome == "authenticate")
    if outcome == "fail_authentication":
        raise refused("This Checkout Session asks for no authentication.")
    billing = {"email": _email(call, session, payer), "name": payer.name, "country": payer.country}
    if outcome.startswith("delayed"):
        if "us_bank_account" not in session["payment_method_types"]:
            raise invalid("This Checkout Session does not accept us_bank_account.", "outcome")
        method = payment_methods.create_bank_account(call, billing)
    else:
        method = payment_methods.create_card(
            call, cards.by_number(payer.card or DEFAULT_CARDS.get(outcome, cards.PLAIN_CARD)), billing
        )
    _identify_customer(call, session, billing, keeps_method=payer.saves_method)
    call.store.save(session, billing=billing, saves_method=payer.saves_method)
    _attempt(call, session, method, authenticated=outcome == "authenticate")
    if outcome.startswith("delayed") and session["mode"] == "payment":
        call.store.save(session, settles_well=outcome == "delayed_success")
        if settles_after_seconds is not None:
            call.store.add_errand("settle", id, after_seconds=settles_after_seconds)
    return session


def settle(call: Call, id: str, *, succeeds: bool | None = None) -> Json:
    """The bank's answer to a delayed payment; ``succeeds`` None is what was foreseen when it was paid."""
    session = call.store.get("checkout.session", id)
    intent = call.store.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None
    if intent is None or intent["status"] != "processing":
        raise refused("This Checkout Session waits for no bank.")
    if succeeds is None:
        succeeds = bool(call.store.backstage(id)["settles_well"])
    payments.settle(call, intent, succeeds=succeeds)
    if succeeds:
        session["payment_status"] = "paid"
        call.store.save(session)
    events.emit(call, f"checkout.session.async_payment_{'succeeded' if succeeds else 'failed'}", session)
    return session


def settle_due(call: Call, id: str) -> None:
    intent_id = call.store.get("checkout.session", id)["payment_intent"]
    if call.store.get("payment_intent", intent_id)["status"] == "processing":
        settle(call, id)


def read_payer(params: Json) -> Payer:
    return Payer(
        card=read.text(params, "card", "") or "",
        email=read.text(params, "email"),
        name=read.text(params, "name"),
        country=read.text(params, "country", "US"),
        saves_method=read.flag(params, "save"),
    )


def asks_authentication(call: Call, session: Json) -> bool:
    return session["status"] == "open" and _asks_authentication(call, session)


def _attempt(call: Call, session: Json, method: Json, *, authenticated: bool) -> None:
    if session["mode"] == "setup":
        intent = call.store.get("setup_intent", session["setup_intent"])
        intent["customer"] = session["customer"]
        intent = setup_intents.attempt(call, intent, method, authenticated=authenticated)
    else:
        intent = payments.attempt(
            call, _payment_intent(call, session), method, off_session=False, authenticated=authenticated
        )
    if intent["status"] in ("succeeded", "processing"):
        _complete(call, session, paid=intent["status"] == "succeeded", method=method)


def _payment_intent(call: Call, session: Json) -> Json:
    """A session's payment begins with the first attempt, and later attempts belong to it."""
    if session["payment_intent"]:
        return call.store.get("payment_intent", session["payment_intent"])
    data = call.store.backstage(session["id"])["payment_intent_data"]
    intent = payments.new_intent(
        call,
        amount_cents=session["amount_total"],
        currency=session["currency"],
        automatic_payment_methods=None,
        customer=session["customer"],
        description=read.text(data, "description"),
        metadata=read.metadata(data),
        payment_method_types=session["payment_method_types"],
        receipt_email=read.text(data, "receipt_email"),
        setup_future_usage=read.text(data, "setup_future_usage"),
        statement_descriptor=read.text(data, "statement_descriptor"),
        statement_descriptor_suffix=read.text(data, "statement_descriptor_suffix"),
    )
    session["payment_intent"] = intent["id"]
    call.store.save(session)
    return intent


def _complete(call: Call, session: Json, *, paid: bool, method: Json) -> None:
    backstage = call.store.backstage(session["id"])
    session.update(status="complete", url=None, customer_details=_details(backstage["billing"]))
    if session["mode"] == "payment" and paid:
        session["payment_status"] = "paid"
    if session["automatic_tax"]["enabled"]:
        session["automatic_tax"]["status"] = "complete"
    if backstage["saves_method"] and session["customer"]:
        kept = payment_methods.attach(call, call.store.get("payment_method", method["id"]), session["customer"])
        call.store.save({**kept, "allow_redisplay": "always"})
    call.store.save(session)
    events.emit(call, "checkout.session.completed", session)


def _identify_customer(call: Call, session: Json, billing: Json, *, keeps_method: bool) -> None:
    """A guest stays one unless something is to be kept for later."""
    data = call.store.backstage(session["id"])["payment_intent_data"]
    keeps = session["customer_creation"] == "always" or data.get("setup_future_usage") or keeps_method
    if session["customer"] is None and session["mode"] == "payment" and keeps:
        guest = customers.create_guest(call, email=billing["email"], name=billing["name"])
        session["customer"] = guest["id"]


def _email(call: Call, session: Json, payer: Payer) -> str | None:
    customer = call.store.find(session["customer"]) if session["customer"] else None
    return payer.email or session["customer_email"] or (customer["email"] if customer else None)


def _details(billing: Json) -> Json:
    return {
        "address": {**payment_methods.NO_ADDRESS, "country": billing["country"]},
        "business_name": None,
        "email": billing["email"],
        "individual_name": None,
        "name": billing["name"],
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _asks_authentication(call: Call, session: Json) -> bool:
    intent = call.store.find(session["payment_intent"] or session["setup_intent"] or "")
    return intent is not None and intent["status"] == "requires_action"


def _answer_authentication(call: Call, session: Json, *, passed: bool) -> Json:
    intent = call.store.get("payment_intent", session["payment_intent"]) if session["payment_intent"] else None
    if intent is not None and not passed:
        raise payments.fail_authentication(call, intent)
    if intent is None and not passed:
        raise setup_intents.fail_authentication(call, call.store.get("setup_intent", session["setup_intent"]))
    held = intent or call.store.get("setup_intent", session["setup_intent"])
    _attempt(call, session, call.store.get("payment_method", held["payment_method"]), authenticated=True)
    return session
