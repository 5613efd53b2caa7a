"""A stand-in vendor that speaks OpenAI's chat API over real HTTP, so that a fresh install answers on every model.

It is a process of its own without Django or a database; what it can be asked to do is in ``docs/sandbox.md``.
"""
