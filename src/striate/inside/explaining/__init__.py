"""One number of a network taken apart, down to the products that made it; as data, as text, as HTML.

`explain` runs the module once (`passage`, `recorder`, `calls`), reads every call as a layer (`translation`, with
`pools`, `norms`, `pointwise`, `arguments`) or as arithmetic (`arithmetic`), keeps where each number came from
(`ledger`, `origins`, `steps`, `joints`, `moves`), and asks the layers' equations for the terms of the number wanted and
of those below it. What comes out is an `explanation`, which `text` and `html` show. Nothing is computed here a second
way.
"""
