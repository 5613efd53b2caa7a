"""What other rooms may react to. Signals point upwards where imports may not."""

from django.dispatch import Signal

#: sent inside the transaction that opens an account; ``account`` is the new row
account_opened = Signal()

#: asks what the keys that members made have cost; ``account``, ``since``. The room that counts calls answers {user id: nano-USD}
spending_asked = Signal()
