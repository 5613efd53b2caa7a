"""The clients that people already have, as their makers publish them, against a gateway of their own: `make clients`."""
