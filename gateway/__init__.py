"""Who it is for: the way out to CBSA and the simulated CBSA; the only room that opens a connection out; knows no lane."""

from schemas.native import path_of

__path__[:0] = path_of("gateway")
