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
    }
    ledger_functions = [
        "grant_credit",
        "extend_holds",
        "checkpoint_holds",
        "start_boot",
        "heartbeat",
        "end_boot",
        "check_ledger",
    ]

    def ready(self) -> None:
        from accounts.signals import account_opened
        from billing import guards, ledger

        post_migrate.connect(guards.apply_after_migrate, dispatch_uid="billing.guards")
        account_opened.connect(ledger.grant_starter_credit, dispatch_uid="billing.starter_credit")
