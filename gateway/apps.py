from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    #: written by settle() in the statement that captures, and by nothing else
    guarded_tables = {"call_record": ["SELECT"], "usage_hour": ["SELECT"]}
    ledger_functions = ["admit", "settle", "settle_and_admit", "sweep_holds", "check_calls"]
