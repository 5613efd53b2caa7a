"""What other rooms may react to. Signals point upwards where imports may not."""

from django.dispatch import Signal

#: sent inside the transaction that opens an account; ``account`` is the new row
account_opened = Signal()
