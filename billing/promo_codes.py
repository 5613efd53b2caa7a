"""Promo codes: a word becomes credit, once for each account, as often in all as its row allows."""

import re
import uuid
from enum import IntEnum

from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Account, AuditEvent, User
from billing import ledger
from billing.models import PromoCode, PromoRedemption
from tokenhub.errors import TokenHubError

_CODE = re.compile(r"[A-Z0-9-]{1,40}")


class CodeRefused(TokenHubError):
    code = "promo_code_refused"
    status = 409
    type = "invalid_request_error"


class Outcome(IntEnum):
    """What ``redeem_promo`` (sql/payments.sql) answers."""

    REDEEMED = 0
    REPEATED = 1
    GONE = 2


def normalised(code: str) -> str:
    """As codes are kept. Empty for what cannot be one."""
    code = code.strip().upper()
    return code if _CODE.fullmatch(code) else ""


def redeem(*, account: Account, user: User, code: str) -> PromoRedemption:
    """Credits the account. Raises ``CodeRefused``: a code that is unknown, over or used up says the same of each."""
    if PromoCode.objects.filter(code=normalised(code), created_by__memberships__account=account).exists():
        raise CodeRefused(_("Whoever made a code cannot redeem it."))
    grant_id = uuid.uuid4()
    with transaction.atomic():
        match ledger.redeem_promo(code=normalised(code), customer_id=account.pk, user_id=user.pk, grant_id=grant_id):
            case Outcome.REPEATED:
                raise CodeRefused(_("This account has redeemed that code before."))
            case Outcome.GONE:
                raise CodeRefused(_("That code does not exist, or can no longer be redeemed."))
        redemption = PromoRedemption.objects.select_related("promo_code").get(grant_id=grant_id)
        AuditEvent.objects.create(
            account=account, actor=user, action="promo_code.redeemed", subject=redemption.promo_code.code
        )
    return redemption
