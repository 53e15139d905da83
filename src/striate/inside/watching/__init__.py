"""A module as it is: its layers named, their outputs caught, every call traced; nothing of it is changed afterwards."""
