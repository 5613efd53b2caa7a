"""Mails: one frame for all of them. A letter's text is its only source; the HTML form is made of the same paragraphs."""

import logging
import re
from typing import Any, NamedTuple

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.exceptions import InvalidMailer
from django.template import Context
from django.template.loader import get_template, render_to_string

log = logging.getLogger(__name__)


class Paragraph(NamedTuple):
    text: str
    kind: str  # "text"; "link": an address of ours and nothing else; "code": one word to type


def compose(prefix: str, to: str, context: dict[str, Any]) -> EmailMultiAlternatives:
    """The letter ``<prefix>_subject.txt`` and ``<prefix>_message.txt``, framed, as text and HTML."""
    subject = " ".join(_plain(f"{prefix}_subject.txt", context).split())
    body = _plain(f"{prefix}_message.txt", context).strip()
    frame = {"subject": subject, "paragraphs": _paragraphs(body), "body": body, "public_url": settings.PUBLIC_URL}
    message = EmailMultiAlternatives(
        f"TokenHub: {subject}", _plain("emails/base.txt", frame).strip() + "\n", settings.DEFAULT_FROM_EMAIL, [to]
    )
    message.attach_alternative(render_to_string("emails/base.html", frame), "text/html")
    return message


def post(message: EmailMultiAlternatives) -> bool:
    """False, and a line in the log, where the mail server is away or not configured."""
    try:
        message.send()
    except (OSError, InvalidMailer) as e:
        log.warning("mail not sent: subject=%r reason=%s", message.subject, e)
        return False
    return True


def send(prefix: str, to: str, context: dict[str, Any]) -> bool:
    return post(compose(prefix, to, context))


def _plain(template: str, context: dict[str, Any]) -> str:
    """Text is not HTML: nothing is escaped."""
    return str(get_template(template).template.render(Context(context, autoescape=False)))  # type: ignore[attr-defined]


def _paragraphs(body: str) -> list[Paragraph]:
    return [Paragraph(text.strip(), _kind(text.strip())) for text in re.split(r"\n\s*\n", body) if text.strip()]


def _kind(text: str) -> str:
    """Only our own addresses become links: names in a letter are written by other people."""
    if " " in text or "\n" in text:
        return "text"
    return "link" if text.startswith(f"{settings.PUBLIC_URL}/") else "code"
