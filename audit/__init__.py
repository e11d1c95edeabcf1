"""Reading it back: story, as-of and the independent verification; writes nothing."""
