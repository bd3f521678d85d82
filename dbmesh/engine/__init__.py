"""One statement from command to response: the table of contents of the product is ``engine.engine``."""
