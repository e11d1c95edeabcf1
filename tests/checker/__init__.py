"""The independent checker: judges a run by its raw log, by what clients were told and by CBSA's own history; not by the fold.

It imports nothing of `lane/`, nor of what makes facts or sends: it would agree with itself. What the log alone can show is
`audit.verify`'s, the same code that an operator runs; what needs the clients' and the authority's side stands here.
"""
