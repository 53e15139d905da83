"""A pass of one image, followed call by call: whose equation each call computes, and where its numbers come from.

`passage.py` runs the module; `recorder.py` and `calls.py` see its calls; `ledger.py`, `origins.py` and `steps.py` keep
what came from where. `translation.py` says which layer a call is, with `norms.py`, `pools.py`, `resizing.py` and
`pointwise.py`; `moves.py`, `arithmetic.py`, `contractions.py`, `statistics.py` and `joints.py` are the calls that are
no layer, and `composed.py` those that are several in one.
"""
