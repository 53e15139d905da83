"""One number of a network taken apart, down to the products that made it; as data, as text, as HTML.

`explain` has the pass of an image followed (`inside/following/`), asks the layers' equations for the terms of the
number wanted and of those below it, and gives an `explanation`, which `text` and `html` show. Nothing is computed here
a second way.
"""
