"""Batches of edits on Ray: jobs, their stages on a cluster, and the record of what became of them.

:mod:`.jobs` makes jobs of specs, variants, grids and tables; :mod:`.units` puts those of one clip
together; :mod:`.driver` runs them as tasks and actors of Ray. What a stage computes is in
:mod:`.edit_work`, by the session, the edit and the run folders that `grain run` uses.
"""
