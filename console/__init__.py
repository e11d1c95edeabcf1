"""Where people sit: the command line, settings and wiring; the only room that reads the real clock and environment."""

from schemas.native import path_of

__path__[:0] = path_of("console")
