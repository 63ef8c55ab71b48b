"""The press: regenerates the course report from finished runs, publishes them to results/, sweeps parameters."""
