"""A UCloud job becomes a Slurm job: values, command line, script text. Pure functions, no I/O."""
