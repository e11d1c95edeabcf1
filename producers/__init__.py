"""Taking in: the publishing library and the way a bulletin enters; knows the log, no rule of order or outage."""
