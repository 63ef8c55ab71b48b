"""`pip install .` ends here, on purpose."""

raise SystemExit(
    "The course is run from its clone, which holds the notebooks, the weights and the results: "
    "`make setup`, or `pip install -r requirements.txt`, installs what it needs."
)
