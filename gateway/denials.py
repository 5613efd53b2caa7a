"""Why a call was not admitted, in the API's words. Where money is short, the error says how much and which limit."""

from django.conf import settings

from gateway.admission import Admission, Code, Request
from gateway.call import Call
from gateway.errors import (
    AccountFrozen,
    BillingUnavailable,
    InsufficientCredits,
    InvalidApiKey,
    IpNotAllowed,
    ModelNotAllowed,
    RateLimitExceeded,
)
from tokenhub.errors import TokenHubError
from tokenhub.money import usd_string


def denial_of(admission: Admission, request: Request, call: Call) -> TokenHubError:
    free, held = admission.free_nanos or 0, admission.held_nanos or 0
    match admission.code:
        case Code.UNKNOWN_KEY | Code.REVOKED | Code.EXPIRED:
            return InvalidApiKey()
        case Code.FROZEN:
            return AccountFrozen("This account is frozen because of a disputed payment. Contact support.")
        case Code.MODEL_NOT_ALLOWED:
            models = ", ".join(dict.fromkeys(f"`{leg.target.slug}`" for leg in call.legs))
            return ModelNotAllowed(
                f"This key may not use {models}. Edit the key's models, or use another key.", param="model"
            )
        case Code.IP_NOT_ALLOWED:
            return IpNotAllowed(
                "This key may not be used from this address. Edit the key's networks, or use another key."
            )
        case Code.RATE_LIMITED:
            return RateLimitExceeded("This key's request rate is used up.")
        case Code.KEY_LIMIT | Code.INSUFFICIENT_CREDITS:
            source = "key" if admission.code == Code.KEY_LIMIT else "balance"
            affordable = max(
                min(leg.quote.affordable_output_tokens(free) // leg.request.choices for leg in call.legs), 0
            )
            what = "This key's spending limit leaves" if source == "key" else "The balance has"
            return InsufficientCredits(
                f"{what} ${usd_string(free)} available; this call may cost up to ${usd_string(request.least_nanos)}."
                " Lower `max_tokens`, wait for running calls, or top up.",
                available=usd_string(free),
                required=usd_string(request.least_nanos),
                held=usd_string(held),
                limit_source=source,
                affordable_max_tokens=affordable,
                top_up_url=f"{settings.PUBLIC_URL}/billing",
            )
    return BillingUnavailable("This call could not be admitted. Nothing was charged; try again.")
