"""Template building blocks: money, times, counts, icons, form widgets.

Loaded as builtins (settings), so no ``{% load %}`` is needed. Times are shown in the person's zone, which
``tokenhub/middleware.py`` activates.
"""

from datetime import datetime, timedelta

from django import template
from django.forms import BoundField, CheckboxInput
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from tokenhub import clock
from tokenhub.figures import DASH, MINUS, number, percent, tokens, usd
from tokenhub.money import NANOS_PER_USD

register = template.Library()
for _filter in (usd, number, tokens, percent):
    register.filter(_filter)

NANOS_PER_CENT = NANOS_PER_USD // 100


@register.filter
def money(nanos: int) -> SafeString:
    """``usd`` as an element whose leading zeros recede below one cent, so that the significant figures stand out."""
    text = usd(nanos)
    if not 0 < abs(nanos) < NANOS_PER_CENT:
        return format_html('<span class="money">{}</span>', text)
    significant = text.lstrip(f"{MINUS}$0.")
    return format_html('<span class="money"><span>{}</span>{}</span>', text.removesuffix(significant), significant)


# ---------------------------------------------------------------- times


@register.filter
def day(value: datetime | None) -> SafeString | str:
    """``22 Nov 2026``, the exact time in its title. None, which is a time that never was, shows as a dash."""
    return _time(value, _words(value, "j M Y")) if value else DASH


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """``22 Nov 2026, 14:02:07``."""
    return _time(value, _words(value, "j M Y, H:i:s")) if value else DASH


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """``3 minutes ago``; a day after a month. The exact time stands in the title, and beside it on keyboard focus."""
    return _time(value, _since(value, clock.now() - value), tabindex="0") if value else DASH


@register.simple_tag
def zone_name() -> str:
    """What the times of this page are in: ``Europe/Oslo``."""
    return timezone.get_current_timezone_name()


def _words(value: datetime, form: str) -> str:
    return date_format(timezone.localtime(value), form)


def _time(value: datetime, words: str, tabindex: str = "") -> SafeString:
    exact = f"{_words(value, 'j M Y, H:i:s')} {zone_name()}"
    focus = format_html(' class="ago" tabindex="{}" data-exact="{}"', tabindex, exact) if tabindex else ""
    return format_html('<time datetime="{}" title="{}"{}>{}</time>', value.isoformat(), exact, focus, words)


def _since(value: datetime, passed: timedelta) -> str:
    minutes, hours, days = int(passed.total_seconds() // 60), int(passed.total_seconds() // 3600), passed.days
    if minutes < 1:
        return gettext("just now")
    if hours < 1:
        return ngettext("%(count)d minute ago", "%(count)d minutes ago", minutes) % {"count": minutes}
    if days < 1:
        return ngettext("%(count)d hour ago", "%(count)d hours ago", hours) % {"count": hours}
    if days < 31:
        return ngettext("%(count)d day ago", "%(count)d days ago", days) % {"count": days}
    return _words(value, "j M Y")


@register.simple_tag
def icon(name: str) -> SafeString:
    """One icon of the sprite; decoration beside a word, so hidden from screen readers."""
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', static("icons/sprite.svg"), name
    )


@register.filter
def control(field: BoundField) -> SafeString:
    """A field's widget in our looks. Django itself adds ``aria-describedby`` and ``aria-invalid``.

    Placeholders are dropped: every field has a visible label, and a vanishing hint helps nobody.
    """
    return field.as_widget(attrs={"class": "input", "placeholder": False})


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, CheckboxInput)
