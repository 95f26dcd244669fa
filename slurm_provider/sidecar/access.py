"""The gRPC service that lets people log in: what it does is done by each user's own agent."""

from typing import Any

import grpc
import structlog

from slurm_provider.rpc.endpoints import REQUEST_ID
from slurm_provider.rpc.v1 import access_pb2, access_pb2_grpc
from slurm_provider.rpc.v1.agent_pb2 import AgentRequest
from slurm_provider.sidecar.agents import AgentGone, AgentRefused, Agents, SpawnerGone

log = structlog.get_logger()

Context = grpc.aio.ServicerContext[Any, Any]


class AccessService(access_pb2_grpc.AccessServiceServicer):
    """Keeps keys in users' authorized_keys."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def SetAuthorizedKeys(  # noqa: N802 - the contract's name
        self, request: access_pb2.SetAuthorizedKeysRequest, context: Context
    ) -> access_pb2.SetAuthorizedKeysResponse:
        """Make a block of a user's authorized_keys hold these keys. A refused user is a refusal."""
        request_id = str(dict(context.invocation_metadata() or ()).get(REQUEST_ID, ""))
        call = AgentRequest(request_id=request_id, set_authorized_keys=request)
        try:
            response = await self._agents.call(request.local_user, call)
        except AgentRefused as error:
            return access_pb2.SetAuthorizedKeysResponse(refusal=str(error))
        except (AgentGone, SpawnerGone) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        if response.failure:
            await context.abort(grpc.StatusCode.UNAVAILABLE, response.failure)
        log.info(
            "authorized keys set",
            local_user=request.local_user,
            label=request.label,
            keys=len(request.keys),
            refusal=response.set_authorized_keys.refusal,
            request_id=request_id,
        )
        return response.set_authorized_keys
