from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    #: what the application's role may do to guarded tables (billing/guards.py); all else is plain read and write
    guarded_tables = {
        # keys are the ORM's, their counters belong to the ledger's triggers
        "api_key": [
            "SELECT",
            "INSERT",
            "UPDATE (name, revoked_at, disabled_at, disabled_by_id, expires_at, replaces_id, tool, allowed_model_ids, ip_ranges,"
            " limit_nanos, limit_window, rpm_limit)",
        ],
        "audit_event": ["SELECT", "INSERT"],
    }

    def ready(self) -> None:
        from django.core import checks
        from django.db.models.signals import post_save

        from accounts import key_notices
        from accounts.checks import rate_limits
        from accounts.models import AuditEvent

        checks.register(rate_limits, checks.Tags.security)
        post_save.connect(key_notices.after_audit_event, sender=AuditEvent, dispatch_uid="accounts.key_notices")
