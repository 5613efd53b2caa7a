"""The operators' pages about money. Rows of the ledger are shown and never edited; what an operator may do is an act with
a reason, written down as an ``AuditEvent``. ``tokenhub/operator_site.py`` says who may come in."""
