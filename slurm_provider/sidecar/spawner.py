"""The process that alone may become another user: it starts user agents, and nothing else.

Single-threaded, small, and started before gRPC is imported. It trusts nothing that it is told but
the name of a user, and decides by itself whether that user may have an agent.
"""

import grp
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from types import FrameType

from slurm_provider.rpc.v1.agent_pb2 import SpawnRequest, SpawnResponse

# CAP_SETPCAP only serves to empty the agents' bounding sets.
CAPABILITIES = "-all,+setuid,+setgid,+setpcap"
NO_CAPABILITIES = ("--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs")
PACKET_BYTES = 4096


class Refused(Exception):
    """A local user who may not have an agent; the text says why."""


@dataclass(frozen=True)
class Policy:
    """Who may have an agent, and what an agent is told at its start."""

    min_uid: int
    deny_users: list[str]
    allow_groups: list[str]
    path: str
    slurm_conf: str | None
    command_timeout_seconds: float

    def to_json(self) -> str:
        """Return the policy as the spawner's argument."""
        return json.dumps(asdict(self))

    def admit(self, name: str) -> pwd.struct_passwd:
        """Return the user's entry; raise Refused for root, system users and whom the site excludes."""
        try:
            user = pwd.getpwnam(name)
        except (KeyError, ValueError) as error:
            raise Refused(f"there is no local user '{name}' on the cluster") from error
        if user.pw_uid == 0:
            raise Refused("jobs never run as root")
        if user.pw_uid < self.min_uid:
            raise Refused(f"the local user '{name}' is a system user (uid {user.pw_uid} < {self.min_uid})")
        if name in self.deny_users:
            raise Refused(f"the local user '{name}' is excluded by the site")
        if self.allow_groups and not self._allowed_group(user):
            raise Refused(f"the local user '{name}' is in none of the groups {', '.join(self.allow_groups)}")
        return user

    def _allowed_group(self, user: pwd.struct_passwd) -> bool:
        names = set()
        for gid in os.getgrouplist(user.pw_name, user.pw_gid):
            try:
                names.add(grp.getgrgid(gid).gr_name)
            except KeyError:
                continue
        return not names.isdisjoint(self.allow_groups)

    def environment(self, user: pwd.struct_passwd) -> dict[str, str]:
        """Return an agent's environment, built from nothing; its jobs inherit it."""
        environment = {
            "HOME": user.pw_dir,
            "LANG": "C.UTF-8",
            "LOGNAME": user.pw_name,
            "PATH": self.path,
            "SHELL": user.pw_shell or "/bin/sh",
            "USER": user.pw_name,
        }
        return environment | ({"SLURM_CONF": self.slurm_conf} if self.slurm_conf else {})


def start_agent(name: str, policy: Policy) -> tuple[int, socket.socket, socket.socket]:
    """Start an agent of a local user; return its process id and our ends of its two sockets."""
    user = policy.admit(name)
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    calls, their_calls = socket.socketpair()
    streams, their_streams = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", f"--groups={','.join(map(str, groups))}"]
    numbers = [their_calls.fileno(), their_streams.fileno()]
    agent = [sys.executable, "-I", "-m", "slurm_provider.sidecar.agent", *map(str, numbers)]
    with their_calls, their_streams:
        process = subprocess.Popen(
            ["setpriv", *identity, *NO_CAPABILITIES, "--", *agent, str(policy.command_timeout_seconds)],
            env=policy.environment(user),
            pass_fds=numbers,
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return process.pid, calls, streams


def serve(requests: socket.socket, policy: Policy) -> None:
    """Answer spawn requests, one packet each, until the other end is closed."""
    while packet := requests.recv(PACKET_BYTES):
        request = SpawnRequest.FromString(packet)
        response = SpawnResponse(local_user=request.local_user, sequence=request.sequence)
        try:
            response.pid, calls, streams = start_agent(request.local_user, policy)
        except (Refused, OSError) as error:
            response.refusal = str(error)
            requests.send(response.SerializeToString())
            continue
        with calls, streams:
            ours = [calls.fileno(), streams.fileno()]
            socket.send_fds(requests, [response.SerializeToString()], ours)


def _reap(_signal: int, _frame: FrameType | None) -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue
    except ChildProcessError:
        return


def main() -> None:
    """Serve on the socket whose number is the first argument, by the policy that is the second."""
    signal.signal(signal.SIGCHLD, _reap)
    # The server ends by closing the socket; a Ctrl-C at the terminal is the server's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        serve(requests, Policy(**json.loads(sys.argv[2])))


if __name__ == "__main__":
    main()
