"""Receptive fields: which pixels every unit sees, by following every operation of a module once."""
