"""Sessions with running jobs: who is let in, and the open connections of each."""
