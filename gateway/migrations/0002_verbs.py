from pathlib import Path

from django.db import migrations

SQL = Path(__file__).parent.parent / "sql"


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_initial"), ("billing", "0002_guards")]
    operations = [
        migrations.RunSQL((SQL / name).read_text(), reverse_sql=migrations.RunSQL.noop)
        for name in ("guards.sql", "admit.sql", "settle.sql", "settle_and_admit.sql", "sweep.sql", "check.sql")
    ]
