"""Train the demo model; run with `python -m grainspec_runtime.demo.training`."""
