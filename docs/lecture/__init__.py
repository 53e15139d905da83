"""The pictures of docs/lecture.md, each drawn by one function from what the program really computed; seeded.

`studies.py` trains what they show, `catalogue.py` lists them, the other modules draw one idea each. `make docs` calls
`catalogue.draw`. The pictures lie beside the code.
"""
