from django.urls import re_path

from billing import webhooks
from billing.views import auto_top_up, card, details, overview, promo_code, receipts, test_checkout, top_up

SLUG = r"(?P<slug>top-[0-9A-Za-z]{20})"

urlpatterns = [
    re_path(r"^billing/stripe/webhook/?$", webhooks.stripe_webhook, name="stripe_webhook"),
    re_path(r"^billing/?$", overview.overview, name="billing"),
    re_path(r"^billing/top-up/?$", top_up.new, name="top_up"),
    re_path(rf"^billing/top-up/{SLUG}/?$", top_up.show, name="top_up_page"),
    re_path(rf"^billing/top-up/{SLUG}/cancel/?$", top_up.cancel, name="top_up_cancel"),
    re_path(rf"^billing/top-up/{SLUG}/refund/?$", top_up.refund, name="top_up_refund"),
    re_path(r"^billing/auto-top-up/?$", auto_top_up.save, name="auto_top_up"),
    re_path(r"^billing/auto-top-up/off/?$", auto_top_up.off, name="auto_top_up_off"),
    re_path(r"^billing/card/?$", card.start, name="card"),
    re_path(r"^billing/card/saved/?$", card.saved, name="card_saved"),
    re_path(r"^billing/card/remove/?$", card.forget, name="card_remove"),
    re_path(r"^billing/card/manage/?$", card.portal, name="card_portal"),
    re_path(r"^billing/promo-code/?$", promo_code.redeem, name="promo_code"),
    re_path(r"^billing/details/?$", details.save, name="billing_details"),
    re_path(
        r"^billing/test-checkout/(?P<session_id>cs_[0-9A-Za-z_]{1,80})/?$", test_checkout.page, name="test_checkout"
    ),
    re_path(r"^billing/receipts/?$", receipts.index, name="receipts"),
    re_path(r"^billing/receipts/(?P<number>[0-9]{1,19})/?$", receipts.receipt, name="receipt"),
    re_path(r"^billing/receipts/(?P<number>[0-9]{1,19})\.pdf$", receipts.receipt_as_pdf, name="receipt_pdf"),
    re_path(r"^billing/statements/(?P<month>[0-9]{4}-[0-9]{2})/?$", receipts.statement, name="statement"),
    re_path(r"^billing/statements/(?P<month>[0-9]{4}-[0-9]{2})\.pdf$", receipts.statement_as_pdf, name="statement_pdf"),
]
