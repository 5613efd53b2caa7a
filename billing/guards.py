"""The application's role may read the ledger and call its functions; everything else about money is refused by the database.

Grants are applied by the owner after every ``migrate``, from what each app declares (``guarded_tables``,
``ledger_functions`` in its ``apps.py``), so that a fresh database, a test database and a renamed role all end up alike.
"""

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections
from psycopg import sql


def apply_after_migrate(sender: Any, using: str, **kwargs: Any) -> None:
    # the signal comes once an app; by the last one every table exists
    if sender.name == list(apps.get_app_configs())[-1].name:
        apply(using)


def apply(using: str) -> None:
    app_role = settings.DATABASES["default"]["USER"]
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_user")
        if cursor.fetchone()[0] == app_role:
            return  # one role for everything: nothing can be withheld from the owner (a system check says so)
        for statement in _statements(app_role):
            cursor.execute(statement)


def _statements(app_role: str) -> list[sql.Composed]:
    role = sql.Identifier(app_role)
    statements = [
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}").format(role),
        sql.SQL("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {}").format(role),
        sql.SQL("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC, {}").format(role),
        sql.SQL("REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}").format(role),
    ]
    for config in apps.get_app_configs():
        for table, powers in getattr(config, "guarded_tables", {}).items():
            statements.append(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(table), role))
            statements += [
                sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(power), sql.Identifier(table), role) for power in powers
            ]
        for function in getattr(config, "ledger_functions", []):
            statements.append(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.Identifier(function), role))
    return statements
