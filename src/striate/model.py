"""A trained network ready to use: the PyTorch module, what its input must look like, and what its outputs mean.

One `.safetensors` file holds all of it; nothing is pickled. Training, looking inside and exporting meet here; this
file knows none of them.
"""
