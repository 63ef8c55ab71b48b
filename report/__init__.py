"""The press: regenerates the course report from finished runs, publishes them to results/, runs the studies."""
