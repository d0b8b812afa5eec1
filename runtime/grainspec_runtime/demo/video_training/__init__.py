"""Train the demo video model; run with `python -m grainspec_runtime.demo.video_training`."""
