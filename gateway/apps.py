from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    #: written by settle() in the statement that captures, and by nothing else
    guarded_tables = {"call_record": ["SELECT"], "usage_hour": ["SELECT"]}
    ledger_functions = ["admit", "settle", "settle_and_admit", "sweep_holds", "check_calls"]

    def ready(self) -> None:
        from accounts.signals import spending_asked
        from billing import spending as billing_spending
        from gateway import usage_members
        from gateway.spending import HourlySums

        spending_asked.connect(usage_members.spent_since, dispatch_uid="gateway.usage_members")
        billing_spending.register(HourlySums())
