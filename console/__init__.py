"""Where people sit: the command line, settings and wiring; the only room that reads the real clock and environment."""
