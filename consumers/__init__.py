"""Making facts: intake, availability and responses, as sans-I/O generators; must not decide what the fold decides."""
