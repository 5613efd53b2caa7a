"""Stripe's test cards and what each does. https://docs.stripe.com/testing"""

from dataclasses import dataclass
from typing import Literal

from billing.stripe_sandbox.errors import invalid


@dataclass(frozen=True)
class Card:
    number: str
    brand: str = "visa"
    funding: str = "credit"
    #: why each charge is declined; None is a card that pays
    decline: str | None = None
    #: a card of which only charges fail can be saved all the same
    declines_setup: bool = True
    authentication: Literal["never", "until_set_up", "always"] = "never"
    #: the bank's objection after each payment: its reason and the dispute's first status
    dispute: tuple[str, str] | None = None
    #: whether a refund waits for the bank
    refund_pends: bool = False

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def error_code(self) -> str | None:
        """The error's ``code``; most declines share one, and ``decline_code`` tells them apart."""
        return self.decline if self.decline in OWN_CODES else "card_declined" if self.decline else None

    def asks_authentication(self, *, is_set_up: bool) -> bool:
        return self.authentication == "always" or (self.authentication == "until_set_up" and not is_set_up)


#: declines whose error has a code of its own
OWN_CODES = {"expired_card", "incorrect_cvc", "processing_error"}
DECLINE_MESSAGES = {
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_required": (
        "Your card was declined. This transaction requires authentication. "
        "Please check your card number and expiration date and try again."
    ),
}
OTHER_DECLINE_MESSAGE = "Your card was declined."

PLAIN_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
CARD_TO_AUTHENTICATE = "4000002500003155"

CARDS = {
    card.number: card
    for card in (
        Card(PLAIN_CARD),
        Card("4000056655665556", funding="debit"),
        Card("5555555555554444", brand="mastercard"),
        Card("378282246310005", brand="amex"),
        Card(DECLINED_CARD, decline="generic_decline"),
        Card("4000000000009995", decline="insufficient_funds"),
        Card("4000000000009987", decline="lost_card"),
        Card("4000000000009979", decline="stolen_card"),
        Card("4000000000000069", decline="expired_card"),
        Card("4000000000000127", decline="incorrect_cvc"),
        Card("4000000000000119", decline="processing_error"),
        Card("4000000000000341", decline="generic_decline", declines_setup=False),
        Card(CARD_TO_AUTHENTICATE, authentication="until_set_up"),
        Card("4000002760003184", authentication="always"),
        Card("4000000000000259", dispute=("fraudulent", "needs_response")),
        Card("4000000000002685", dispute=("product_not_received", "needs_response")),
        Card("4000000000001976", dispute=("general", "warning_needs_response")),
        Card("4000000000007726", refund_pends=True),
    )
}

#: the ready payment methods of test mode, by their ids
ALIASES = {
    "pm_card_visa": PLAIN_CARD,
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_visa_chargeDeclined": DECLINED_CARD,
    "pm_card_chargeDeclined": DECLINED_CARD,
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_authenticationRequired": CARD_TO_AUTHENTICATE,
    "pm_card_authenticationRequiredOnSetup": CARD_TO_AUTHENTICATE,
    "pm_card_createDispute": "4000000000000259",
    "pm_card_pendingRefund": "4000000000007726",
}


def by_number(number: str) -> Card:
    digits = number.replace(" ", "")
    if digits not in CARDS:
        raise invalid("Your card number is not one of the test cards.", "card", "incorrect_number")
    return CARDS[digits]


def decline_message(decline: str) -> str:
    return DECLINE_MESSAGES.get(decline, OTHER_DECLINE_MESSAGE)
