"""Gray to Glory: the support library of the colourization course in `notebooks/`."""

__version__ = "0.1.0"
