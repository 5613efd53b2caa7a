"""Template building blocks: money, icons, form widgets. Loaded as builtins (settings), so no ``{% load %}`` is needed."""

from django import template
from django.forms import BoundField, CheckboxInput
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tokenhub.money import NANOS_PER_USD, usd_string

register = template.Library()

MINUS = "\N{MINUS SIGN}"
NANOS_PER_CENT = NANOS_PER_USD // 100


@register.filter
def usd(nanos: int, form: str = "exact") -> str:
    """Dollars for people: ``$1,234.50``, ``−$0.0037784``. Exact, at least two decimals.

    ``form``: ``exact``; ``cents`` cuts to two decimals (never up: a balance must not look larger than it is);
    ``rest`` is what ``cents`` left away, for the muted end of a lead figure.
    """
    sign, whole, decimals = _parts(nanos)
    if form == "rest":
        return decimals[2:]
    if form == "cents":
        decimals = decimals[:2]
    return f"{sign}${whole}.{decimals}"


@register.filter
def money(nanos: int) -> SafeString:
    """``usd`` as an element whose leading zeros recede below one cent, so that the significant figures stand out."""
    text = usd(nanos)
    if not 0 < abs(nanos) < NANOS_PER_CENT:
        return format_html('<span class="money">{}</span>', text)
    significant = text.lstrip(f"{MINUS}$0.")
    return format_html('<span class="money"><span>{}</span>{}</span>', text.removesuffix(significant), significant)


def _parts(nanos: int) -> tuple[str, str, str]:
    """Sign, grouped whole dollars, at least two decimals."""
    whole, decimals = usd_string(abs(nanos)).split(".")
    return MINUS if nanos < 0 else "", f"{int(whole):,}", decimals


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
