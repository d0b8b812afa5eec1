"""How the demo backbone was trained; run with `python -m grainspec_runtime.demo.training`."""
