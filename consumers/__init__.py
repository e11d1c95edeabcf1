"""Making facts: intake, availability and responses, as sans-I/O generators; must not decide what the fold decides."""

from schemas.native import path_of

__path__[:0] = path_of("consumers")
