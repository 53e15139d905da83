"""The claims of a first lecture on convolutional networks, each put to the test, and the comparison they share.

`statistics.py` is what paired values say; `compare.py` trains variants with paired seeds and asks it. Every claim of
the lecture is one file: a declaration, written before anything runs, of what is varied, what is held, what is
measured and what would refute the sentence. Nothing here draws or prints.
"""
