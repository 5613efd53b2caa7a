"""The test checkout's own pages: plain forms that post to their own address, so that any prefix can stand before it.

No scripts and no styles: the answer's policy allows none. Its ``form-action`` is open, because a paid session
redirects to the merchant.
"""

from dataclasses import dataclass
from html import escape

from billing.stripe_sandbox import cards, checkout_payment, customers, errands, payment_methods, payments
from billing.stripe_sandbox import params as read
from billing.stripe_sandbox.call import Call
from billing.stripe_sandbox.errors import Json, StripeError, missing

POLICY = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
NOTICE = "This is a test checkout. No money moves; only the test cards below work."
EXPLAINED_CARDS = (
    (cards.PLAIN_CARD, "pays"),
    (cards.DECLINED_CARD, "is declined"),
    ("4000000000009995", "is declined for insufficient funds"),
    (cards.CARD_TO_AUTHENTICATE, "asks for authentication"),
    ("4000000000000341", "pays nothing later, though it can be saved"),
    ("4000000000000259", "is disputed after the payment"),
)


@dataclass(frozen=True)
class Page:
    """An answer to a browser: a page, or with ``location`` a redirect."""

    status: int
    html: str = ""
    location: str = ""


def show(call: Call, id: str) -> Page:
    obj = call.store.find(id)
    if obj is None or obj["object"] not in PAGES:
        raise missing("page", id)
    return PAGES[obj["object"]](call, obj, "")


def post(call: Call, id: str) -> Page:
    """Carries out a form. A refusal is shown on the page, where another card can be tried."""
    obj = call.store.find(id)
    if obj is None or obj["object"] not in FORMS:
        raise missing("page", id)
    try:
        with call.store.transaction():
            location = FORMS[obj["object"]](call, obj)
            errands.run_due(call)
    except StripeError as error:
        return PAGES[obj["object"]](call, call.store.find(id) or obj, error.message)
    return Page(303, location=location)


def _session_page(call: Call, session: Json, problem: str) -> Page:
    if session["status"] != "open":
        return _page("Test checkout", f"<p>This checkout is {session['status']}.</p>", problem)
    if checkout_payment.asks_authentication(call, session):
        return _page("Test checkout", _authentication_form(), problem)
    if session["mode"] == "setup":
        title, button = "Save a payment method", "Save"
    else:
        amount = _money(session["amount_total"], session["currency"])
        title, button = f"Pay {amount}", f"Pay {amount}"
    lines = call.store.backstage(session["id"])["line_items"]
    items = "".join(
        f"<li>{escape(line['description'])} × {line['quantity']}: {_money(line['amount_total'], line['currency'])}</li>"
        for line in lines
    )
    back = session["cancel_url"]
    body = (
        f"<ul>{items}</ul>" + _card_form(session, button) + _card_list()
        + (f'<p><a href="{escape(back)}">Back without paying</a></p>' if back else "")
    )  # fmt: skip
    return _page(title, body, problem)


def _post_session(call: Call, session: Json) -> str:
    outcome = read.choice(call.params, "outcome", checkout_payment.OUTCOMES, "success")
    after_seconds = checkout_payment.SETTLES_AFTER_SECONDS
    payer = checkout_payment.read_payer(call.params)
    paid = checkout_payment.pay(call, session["id"], outcome, payer, settles_after_seconds=after_seconds)
    if paid["status"] == "open":
        return ""  # the same page asks for authentication
    return str(paid["success_url"]).replace("{CHECKOUT_SESSION_ID}", paid["id"])


def _intent_page(call: Call, intent: Json, problem: str) -> Page:
    if intent["status"] != "requires_action":
        return _page("Test authentication", f"<p>This payment is {intent['status']}.</p>", problem)
    return _page("Test authentication", _authentication_form(), problem)


def _post_intent(call: Call, intent: Json) -> str:
    action = intent["next_action"] or {}
    if read.choice(call.params, "outcome", checkout_payment.OUTCOMES, "authenticate") == "fail_authentication":
        raise payments.fail_authentication(call, intent)
    method = call.store.get("payment_method", intent["payment_method"] or "")
    payments.attempt(call, intent, method, off_session=False, authenticated=True)
    return action.get("redirect_to_url", {}).get("return_url") or ""


def _portal_page(call: Call, portal: Json, problem: str) -> Page:
    methods = call.store.where("payment_method", customer=portal["customer"])
    default = call.store.get("customer", portal["customer"])["invoice_settings"]["default_payment_method"]
    rows = "".join(_portal_row(method, method["id"] == default) for method in methods)
    back = portal["return_url"]
    body = f"<ul>{rows}</ul>" if rows else "<p>No payment method is saved.</p>"
    return _page("Saved payment methods", body + (f'<p><a href="{escape(back)}">Back</a></p>' if back else ""), problem)


def _portal_row(method: Json, is_default: bool) -> str:
    last4 = escape(method[method["type"]]["last4"])
    return (
        f"<li>{escape(method['type'])} ending in {last4}{' (default)' if is_default else ''} "
        f'<form method="post"><input type="hidden" name="method" value="{method["id"]}">'
        f'<button name="action" value="default">Make default</button> '
        f'<button name="action" value="remove">Remove</button></form></li>'
    )


def _post_portal(call: Call, portal: Json) -> str:
    id = str(read.required(call.params, "method"))
    payment_methods.customer_retrieve(call, portal["customer"], id)
    if read.choice(call.params, "action", ("default", "remove"), "default") == "remove":
        payment_methods.detach(call, id)
    else:
        customers.set_default_method(call, portal["customer"], id)
    return ""


def _card_form(session: Json, button: str) -> str:
    delayed = ""
    if session["mode"] == "payment" and "us_bank_account" in session["payment_method_types"]:
        delayed = (
            '<p><button name="outcome" value="delayed_success">Pay from a bank account (settles later)</button> '
            '<button name="outcome" value="delayed_failure">Pay from a bank account that will fail</button></p>'
        )
    email = escape(session["customer_email"] or "")
    return (
        '<form method="post">'
        f'<p><label>E-mail <input name="email" type="email" autocomplete="email" value="{email}"></label></p>'
        f'<p><label>Card number <input name="card" inputmode="numeric" value="{cards.PLAIN_CARD}"></label></p>'
        '<p><label><input type="checkbox" name="save" value="1"> Save for later</label></p>'
        f'<p><button name="outcome" value="success">{button}</button></p>{delayed}</form>'
    )


def _authentication_form() -> str:
    return (
        "<p>Your bank asks whether this is you.</p>"
        '<form method="post"><button name="outcome" value="authenticate">Complete authentication</button> '
        '<button name="outcome" value="fail_authentication">Fail authentication</button></form>'
    )


def _card_list() -> str:
    rows = "".join(f"<li><code>{number}</code> {what}</li>" for number, what in EXPLAINED_CARDS)
    return f"<h2>Test cards</h2><ul>{rows}</ul>"


def _page(title: str, body: str, problem: str) -> Page:
    alert = f'<p role="alert"><strong>{escape(problem)}</strong></p>' if problem else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)}</title></head><body><main><h1>{escape(title)}</h1>"
        f"<p><strong>{NOTICE}</strong></p>{alert}{body}</main></body></html>"
    )
    return Page(402 if problem else 200, html)


def _money(cents: int, currency: str) -> str:
    return f"{cents // 100}.{cents % 100:02d} {currency.upper()}"


PAGES = {"checkout.session": _session_page, "payment_intent": _intent_page, "billing_portal.session": _portal_page}
FORMS = {"checkout.session": _post_session, "payment_intent": _post_intent, "billing_portal.session": _post_portal}
