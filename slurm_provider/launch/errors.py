"""What is wrong with a job that cannot be launched."""


class LaunchError(ValueError):
    """A job that cannot be launched as it was asked for; the text is for the user."""
