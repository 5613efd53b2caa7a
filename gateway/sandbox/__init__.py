"""A stand-in vendor that speaks OpenAI's, Anthropic's and Google's APIs over real HTTP: a fresh install answers at once.

It is a process of its own without Django or a database; what it can be asked to do is in ``docs/sandbox.md``.
"""
