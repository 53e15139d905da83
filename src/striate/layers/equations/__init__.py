"""Equations of what networks from elsewhere compute and no text form has: transposed convolution, dense layers at each
position, interpolation, matrix products, statistics, functions of one number, and the arithmetic between layers.

Each is what its PyTorch call means, in NumPy as a textbook prints it, term by term.
"""
