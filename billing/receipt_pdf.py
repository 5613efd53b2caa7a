"""Receipts and statements as PDF, for printers and accountants. Whole points only: money and its pages know no floats."""

import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from billing.receipts import Party, Receipt
from billing.statements import Statement
from tokenhub.figures import number, usd

TEXT, BOLD, CJK = "Vera", "VeraBd", "STSong-Light"
INK, MUTED, HAIRLINE = HexColor("#17181A"), HexColor("#5B5E63"), HexColor("#C9C9C4")
MARGIN = 56
PADDING = 6  # that reportlab puts around everything
WIDTH = int(A4[0]) - 2 * MARGIN
AMOUNT_WIDTH = 110
#: what STSong-Light has: CJK punctuation, kana, ideographs, full-width forms. Beyond the basic plane it has nothing
_CJK = re.compile("([\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+)")


class Sum(NamedTuple):
    """A line of a table of amounts."""

    what: str
    amount: str
    is_total: bool = False


def receipt_pdf(receipt: Receipt) -> bytes:
    order = receipt.order
    paid = [(_("Paid"), _in_both_zones(order.paid_at or order.credited_at))]
    if receipt.card:
        paid.append((_("With"), receipt.card))
    paid.append((_("Payment"), order.slug))
    sums = [Sum(line.what, usd(line.amount_nanos)) for line in receipt.lines]
    story = [
        *_head(_("Receipt %(number)s") % {"number": receipt.number}, is_test=order.is_test),
        _parties(receipt.seller, receipt.customer),
        _facts(paid),
        _table([*sums, Sum(_("Total paid, USD"), usd(receipt.total_nanos), is_total=True)]),
    ]
    if receipt.refunds:
        story += [_line(_("Refunds"), bold=True), _table(_refunds(receipt))]
    return _pdf(story, _("Receipt %(number)s") % {"number": receipt.number})


def _refunds(receipt: Receipt) -> Iterable[Sum]:
    for refund, cash_nanos in receipt.refunds:
        yield Sum(f"{_in_both_zones(refund.created_at)}, {refund.get_status_display()}", usd(-cash_nanos))
    yield Sum(_("Refunded in all, USD"), usd(-receipt.refunded_nanos), is_total=True)


def statement_pdf(statement: Statement) -> bytes:
    month = statement.month
    title = _("Statement, %(month)s") % {"month": month.name}
    span = _("1 %(month)s, 00:00 to the month’s end, in UTC") % {"month": month.name}
    facts = [(_("Month"), span), (_("Made"), _in_both_zones(statement.made_at))]
    if not month.is_over:
        facts.append((_("State"), _("the month is not over: so far")))
    moved = [
        Sum(_("%(cause)s, %(count)s") % {"cause": one.cause, "count": number(one.count)}, usd(one.amount_nanos))
        for one in (*statement.credits, *statement.debits)
    ]
    calls = [
        Sum(_("%(model)s, calls: %(calls)s") % {"model": one.name, "calls": number(one.calls)}, usd(-one.cost_nanos))
        for one in statement.models
    ]
    story = [
        *_head(title, is_test=statement.is_test),
        _parties(statement.seller, statement.customer),
        _facts(facts),
        _table(
            [
                Sum(_("Opening balance"), usd(statement.opening_nanos)),
                *moved,
                *calls,
                Sum(_("Closing balance, USD"), usd(statement.closing_nanos), is_total=True),
            ]
        ),
    ]
    return _pdf(story, title)


# ---------------------------------------------------------------- the page


def _pdf(story: Sequence[Flowable], title: str) -> bytes:
    _register_fonts()
    file = io.BytesIO()
    document = SimpleDocTemplate(
        file, pagesize=A4, leftMargin=MARGIN - PADDING, rightMargin=MARGIN - PADDING, topMargin=MARGIN, bottomMargin=MARGIN,
        title=title, author="TokenHub", lang="en",
    )  # fmt: skip
    document.build(list(story), onFirstPage=_number_page, onLaterPages=_number_page)
    return file.getvalue()


def _number_page(canvas: Any, document: Any) -> None:
    canvas.setFont(TEXT, 8)
    canvas.setFillColor(MUTED)
    canvas.drawRightString(MARGIN + WIDTH, MARGIN - 24, str(document.page))


@cache
def _register_fonts() -> None:
    """Of reportlab's own: the site's fonts are of a kind that no PDF can hold."""
    for name in (TEXT, BOLD):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFont(UnicodeCIDFont(CJK))


def _head(title: str, *, is_test: bool) -> list[Flowable]:
    _register_fonts()
    parts: list[Flowable] = [_line(title, size=20, bold=True), Spacer(0, 14)]
    if is_test:
        mark = Table([[_line(_("Test payment, no real money"), bold=True)]], colWidths=[WIDTH])
        mark.setStyle(
            TableStyle(
                [
                    ("BOX", (0, 0), (-1, -1), 1, INK),
                    ("TOPPADDING", (0, 0), (-1, -1), 5),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 9),
                ]
            )
        )
        parts += [mark, Spacer(0, 14)]
    return parts


def _parties(seller: Party, customer: Party) -> Flowable:
    cells = [[_party(_("From"), seller), _party(_("To"), customer)]]
    return Table(cells, colWidths=[WIDTH // 2] * 2, style=_PLAIN, spaceAfter=14)


def _party(word: str, party: Party) -> list[Flowable]:
    tax_ids = [_("Tax ID %(id)s") % {"id": one} for one in party.tax_ids]
    return [_line(word, muted=True), _line(party.name, bold=True), *map(_line, [*party.address, *tax_ids])]


def _facts(facts: Iterable[tuple[str, str]]) -> Flowable:
    rows = [[_line(name, muted=True), _line(value)] for name, value in facts]
    return Table(rows, colWidths=[90, WIDTH - 90], style=_PLAIN, spaceAfter=14)


def _table(sums: Iterable[Sum]) -> Flowable:
    sums = list(sums)
    rows = [[_line(one.what, bold=one.is_total), _line(one.amount, bold=one.is_total, right=True)] for one in sums]
    style: list[Any] = [("LINEBELOW", (0, 0), (-1, -1), 1, HAIRLINE), *_PLAIN_COMMANDS]
    style += [("LINEABOVE", (0, at), (-1, at), 1, INK) for at, one in enumerate(sums) if one.is_total]
    return Table(rows, colWidths=[WIDTH - AMOUNT_WIDTH, AMOUNT_WIDTH], style=TableStyle(style), spaceAfter=18)


_PLAIN_COMMANDS: list[Any] = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 4),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
]
_PLAIN = TableStyle(_PLAIN_COMMANDS)


def _line(text: str, *, size: int = 9, bold: bool = False, muted: bool = False, right: bool = False) -> Flowable:
    font = BOLD if bold else TEXT
    style = ParagraphStyle(
        "line", fontName=font, fontSize=size, leading=size + 5, textColor=MUTED if muted else INK, splitLongWords=1
    )
    if right:
        style.alignment = TA_RIGHT
    return Paragraph(_marked(text), style)


def _marked(text: str) -> str:
    """Escaped, with CJK in the font that has it. Letters that neither font has become the box that says so."""
    drawable = "".join(sign if sign.isprintable() and ord(sign) <= 0xFFFF else "\N{WHITE SQUARE}" for sign in text)
    return _CJK.sub(rf'<font name="{CJK}">\1</font>', escape(drawable))


def _in_both_zones(moment: datetime | None) -> str:
    """In UTC, and where the reader's zone is another, there too."""
    if moment is None:
        return ""
    form = "j M Y, H:i:s"
    words = f"{date_format(moment.astimezone(UTC), form)} UTC"
    zone = timezone.get_current_timezone_name()
    if zone == "UTC":
        return words
    return f"{words} ({date_format(timezone.localtime(moment), form)} {zone})"
