"""Bounds of the edge: what a request may be, before anybody looks at what it says."""

BODY_BYTES_MAX = 25 * 1024 * 1024
#: after a refusal the rest of an upload is read and thrown away, up to this much, so that clients get to read the answer
DISCARD_BYTES_MAX = 64 * 1024 * 1024
DISCARD_SECONDS = 10.0
HEADER_BYTES_MAX = 8 * 1024  # of the key's header; the server bounds the whole block
#: an upstream's plain answer
ANSWER_BYTES_MAX = 64 * 1024 * 1024

KEEP_ALIVE_SECONDS = 15.0
CHECKPOINT_SECONDS = 2.0
#: a vendor that bills on after a hang-up is read this long for its usage
DRAIN_SECONDS = 30.0
