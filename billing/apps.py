from django.apps import AppConfig
from django.db.models.signals import post_migrate


class BillingConfig(AppConfig):
    name = "billing"

    #: money is moved by functions and triggers of the database; the application reads, and calls those functions
    guarded_tables = {
        "ledger_account": ["SELECT", "UPDATE (frozen)"],
        "transfer_rule": ["SELECT"],
        "transfer": ["SELECT"],
        "credit_grant": ["SELECT"],
        "process_boot": ["SELECT"],
        "hold": ["SELECT"],
        "price": ["SELECT", "INSERT"],
        "top_up": [
            "SELECT",
            "INSERT",
            "UPDATE (user_id, status, reason, session_id, checkout_url, payment_intent_id, card_brand, card_last4, billed_to,"
            " paid_at, closed_at)",
        ],
        "clawback": ["SELECT"],
        "credit_lot": ["SELECT"],
        "promo_code": ["SELECT", "INSERT", "UPDATE (max_redemptions, expires_at, credit_days, note, disabled_at)"],
        "promo_redemption": ["SELECT"],
    }
    ledger_functions = [
        "grant_credit",
        "extend_holds",
        "checkpoint_holds",
        "start_boot",
        "heartbeat",
        "end_boot",
        "check_ledger",
        "check_payments",
        "credit_top_up",
        "claw_back",
        "give_back",
        "collect_receivable",
        "refresh_freeze",
        "attribute_lots",
        "expire_lots",
        "redeem_promo",
    ]

    def ready(self) -> None:
        from accounts.signals import account_opened
        from billing import guards, ledger

        post_migrate.connect(guards.apply_after_migrate, dispatch_uid="billing.guards")
        account_opened.connect(ledger.grant_starter_credit, dispatch_uid="billing.starter_credit")
