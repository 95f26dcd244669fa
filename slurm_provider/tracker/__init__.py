"""Slurm's truth becomes UCloud's: submission, polling, state table, charges, delivery to Core.

The rules (`states`, `charges`, `identity`, `limits`, `observation`) are pure functions; time is passed in.
"""
