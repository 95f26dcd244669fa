"""Slurm's own words: one small class a command, its argument list out and typed rows in.

Nothing here runs anything, so each class is tested by a table of real outputs.
"""
