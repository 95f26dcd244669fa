"""The gRPC service that describes jobs which somebody else has submitted."""

from slurm_provider.rpc.v1 import shape_pb2, shape_pb2_grpc
from slurm_provider.sidecar.commands import Runner
from slurm_provider.sidecar.services import Context, run_as_operator
from slurm_provider.slurm.squeue_shapes import SqueueShapes


class ShapeService(shape_pb2_grpc.ShapeServiceServicer):
    """Reads as the service user, an operator of Slurm."""

    def __init__(self, operator: Runner) -> None:
        self._operator = operator

    async def DescribeJobs(  # noqa: N802 - the contract's name
        self, request: shape_pb2.DescribeJobsRequest, context: Context
    ) -> shape_pb2.DescribeJobsResponse:
        """Say what some jobs take up."""
        if not request.slurm_ids:
            return shape_pb2.DescribeJobsResponse()
        shapes = await run_as_operator(self._operator, SqueueShapes(request.slurm_ids), context)
        return shape_pb2.DescribeJobsResponse(jobs=shapes)
