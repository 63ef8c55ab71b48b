"""What people start: the command line behind `python -m g2g`, the page, and the notebooks' setup cell."""
