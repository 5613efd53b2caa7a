"""A stand-in for Stripe that speaks its API over real HTTP: a fresh install can take test payments at once.

It is a process of its own (``python -m billing.stripe_sandbox.server``), a leaf: no Django and no other room. It keeps
its objects in one SQLite file, so that a restart loses nothing. Money is integer cents throughout, as in Stripe's API.
"""
