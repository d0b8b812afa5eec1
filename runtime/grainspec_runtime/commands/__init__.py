"""The runtime's commands; they join `grain` through the entry-point group grainspec.commands."""
