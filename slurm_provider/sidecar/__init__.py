"""The program on the login node: gRPC on one side, Slurm and the local users on the other.

Three kinds of process. `server` speaks gRPC and asks Slurm as the operator; it holds no capability.
`spawner` alone may become another user; it starts one `agent` for each local user in use. All that
is done for a user is done in that user's agent. Spawner and agents never import gRPC.
"""
