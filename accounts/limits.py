"""How long somebody has to wait who met one of the entrance's rate limits (``ACCOUNT_RATE_LIMITS``)."""

from allauth.account import app_settings
from allauth.core.internal.ratelimit import parse_rates

#: which limit a page's address is under; allauth tells its 429 page nothing but the request
ACTIONS = {
    "account_signup": "signup",
    "account_login": "login",
    "account_request_login_code": "request_login_code",
    "account_reset_password": "reset_password",
    "account_reset_password_from_key": "reset_password_from_key",
    "account_reauthenticate": "reauthenticate",
    "account_change_password": "change_password",
    "account_set_password": "change_password",
    "account_email": "manage_email",
    "team_invite": "invite",
    "top_up": "checkout",
    "card": "checkout",
    "promo_code": "promo_code",
}


def wait_seconds(action: str) -> int:
    """The longest window of the action's rates: after it, nothing that was counted still counts."""
    return max(int(rate.duration) for rate in parse_rates(app_settings.RATE_LIMITS[action]))
