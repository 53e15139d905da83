"""One number of a network taken apart, down to the products that made it; as data, as text, as HTML."""
