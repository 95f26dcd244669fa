"""What a call to a sidecar fails with: one kind of error for no answer, one for a refusal."""

import grpc
import grpc.aio


class ClusterUnavailable(Exception):
    """Sidecar or Slurm gave no complete answer: nothing may be concluded, of a submission least of all."""


class ClusterRefused(Exception):
    """Slurm, or the sidecar, does not do what was asked; the text is its reason."""


_REFUSALS = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
)


def unavailable(error: grpc.aio.AioRpcError) -> ClusterUnavailable:
    """Return the error of a call of which nothing is known."""
    return ClusterUnavailable(f"{error.details() or 'no answer'} ({error.code().name})")


def refused_or_unavailable(error: grpc.aio.AioRpcError) -> ClusterRefused | ClusterUnavailable:
    """Return the error of a call that may have been refused in words."""
    if error.code() in _REFUSALS:
        return ClusterRefused(error.details() or error.code().name)
    return unavailable(error)
