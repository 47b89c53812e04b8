"""The worker side: snapshot files → exact global batches → ranks → the best model of a run.

``launch`` starts the ranks; each runs ``worker.run_rank``, which joins the parts: ``feed`` (what a rank reads), ``comm``
(how ranks talk), ``optimizer``, ``evaluation``, and ``loop`` (which knows only those).
"""
