from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    #: what the application's role may do to guarded tables (billing/guards.py); all else is plain read and write
    guarded_tables = {
        # keys are the ORM's, their counters belong to the ledger's triggers
        "api_key": [
            "SELECT",
            "INSERT",
            "UPDATE (name, revoked_at, expires_at, limit_nanos, limit_window, rpm_limit)",
        ],
        "audit_event": ["SELECT", "INSERT"],
    }
