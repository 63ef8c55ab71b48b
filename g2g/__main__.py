"""`python -m g2g`: starts the command line, which stands above the library in `app/`."""

import runpy

runpy.run_module("app", run_name="__main__", alter_sys=True)
