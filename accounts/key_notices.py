"""Mails about keys to those who asked for them, once the change that they tell of is committed."""

from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import letters
from accounts.models import ApiKey, AuditEvent, Membership


def after_audit_event(sender: Any, instance: AuditEvent, created: bool, **kwargs: Any) -> None:
    """A receiver of ``post_save``."""
    if created and instance.action in _words():
        transaction.on_commit(partial(_tell, instance), robust=True)


def _words() -> dict[str, str]:
    return {"key.created": _("made"), "key.rotated": _("rotated"), "key.revoked": _("revoked")}


def _tell(event: AuditEvent) -> None:
    listeners = Membership.objects.filter(account=event.account, notifies_keys=True, user__is_active=True)
    addresses = list(listeners.order_by("id").values_list("user__email", flat=True))
    if not addresses:
        return
    key = ApiKey.objects.select_related("account").get(public_id=event.subject.removeprefix("key-"))
    context = {
        "name": key.name,
        "masked": key.masked,
        "team": key.account.name,
        "done": _words()[event.action],
        "actor": event.actor.email if event.actor else _("the server’s operator"),
        "keys_url": f"{settings.PUBLIC_URL}{reverse('keys')}?team={key.account.slug}",
    }
    for address in addresses:
        letters.send("emails/key_notice", address, context)
