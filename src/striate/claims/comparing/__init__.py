"""A controlled experiment: variants trained with paired seeds, what their differences are, and how sure that is.

`statistics.py` is what paired values say. `trial.py` is one training, `trials.py` many of them, kept and shared;
`tuning.py` chooses learning rates; `comparison.py` puts them together. `metrics.py`, `probes.py` and `views.py` are
what is measured and how the data is seen; `words.py` and `figures.py` say and show what came out.
"""
