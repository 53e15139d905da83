"""An activation followed back to the pixels: the rules of the ReLUs on the way, and what has none."""
