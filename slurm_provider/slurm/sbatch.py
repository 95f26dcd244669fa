"""sbatch: a job's header, its submission, and what the answer is worth."""

import re
from dataclasses import dataclass

from slurm_provider.directives import is_safe_value, refusal
from slurm_provider.rpc.v1.submission_pb2 import Doubt, Refusal, SubmitRequest, SubmitResponse, Submitted
from slurm_provider.slurm.command import Outcome, SlurmCommand, doubtful
from slurm_provider.slurm.times import format_duration

_SUBMITTED = re.compile(r"^(\d+)(?:;\S+)?$", re.MULTILINE)
_REFUSED = "Batch job submission failed: "
# What sbatch itself finds wrong before it asks slurmctld.
_NOT_ASKED = re.compile(
    r"^sbatch: (?:error|fatal): ((?:Invalid|Unable to open file|This does not look) .*)", re.MULTILINE
)


class InvalidDirective(ValueError):
    """A value that cannot stand in an #SBATCH line."""


def batch_script(request: SubmitRequest, folder: str, control_folder: str) -> str:
    """Return the whole batch script: shebang, one #SBATCH line an option, then `request.script`.

    All options are in the script and none on the command line, so that what ran can be read, and
    submitted again by hand, from one file. Raises InvalidDirective for a value that Slurm's parser
    of these lines would cut or take for something else.
    """
    options = {
        "job-name": request.name,
        "comment": request.comment,
        "account": request.account,
        "partition": request.partition,
        "qos": request.qos,
        "nodes": str(request.nodes),
        "ntasks-per-node": str(request.tasks_per_node or 1),
        "cpus-per-task": str(request.cpus_per_task or ""),
        "mem": f"{request.memory_mib_per_node}M" if request.memory_mib_per_node else "",
        "gpus-per-node": str(request.gpus_per_node or ""),
        "time": format_duration(request.time_limit_seconds) if request.time_limit_seconds else "",
        "constraint": request.constraint,
    }
    paths = {"chdir": folder, "output": f"{control_folder}/batch.log"}
    # Of an option given twice sbatch takes the last: nothing that an application asks for changes ours.
    lines = [_asked_for(option.name, option.value) for option in request.options]
    lines += [_directive(option, value) for option, value in options.items() if value]
    lines += [_path_directive(option, value) for option, value in paths.items()]
    # Always said, whatever slurm.conf's JobRequeue is.
    lines.append("#SBATCH --requeue" if request.requeue else "#SBATCH --no-requeue")
    return "\n".join(["#!/bin/bash --login", *lines, "", request.script])


def _directive(option: str, value: str) -> str:
    if not is_safe_value(value):
        raise InvalidDirective(f"{option} cannot be {value!r}")
    return f"#SBATCH --{option}={value}"


def _asked_for(option: str, value: str) -> str:
    if why := refusal(option):
        raise InvalidDirective(why)
    return _directive(option, value) if value else f"#SBATCH --{option}"


def _path_directive(option: str, path: str) -> str:
    # Slurm replaces %-patterns in file names, and its parser of these lines knows quotes and backslashes.
    if re.search(r'[\x00-\x1f"\\%]', path):
        raise InvalidDirective(f"the folder {path!r} has a character that Slurm cannot take in a path")
    return f'#SBATCH --{option}="{path}"'


@dataclass(frozen=True)
class Sbatch(SlurmCommand[SubmitResponse]):
    """Submits a batch script, whose job runs in `folder`."""

    script: str
    folder: str

    def argv(self) -> list[str]:
        """Return the argument list."""
        return ["sbatch", "--parsable"]

    def stdin(self) -> str:
        """Return the batch script."""
        return self.script

    def parse(self, outcome: Outcome) -> SubmitResponse:
        """Return what is known of the job: its id, that it was refused, or neither.

        An id counts whatever the exit code. Only words by which slurmctld, or sbatch before it asks,
        turns a job down are a refusal; everything else, a time-out above all, leaves the job in doubt.
        """
        if match := _SUBMITTED.search(outcome.stdout):
            return SubmitResponse(submitted=Submitted(slurm_id=int(match[1]), folder=self.folder))
        _, found, reason = outcome.stderr.rpartition(_REFUSED)
        reason = reason.strip()
        if found and not doubtful(reason):
            return SubmitResponse(refused=Refusal(reason=reason))
        if not found and outcome.returncode and (match := _NOT_ASKED.search(outcome.stderr)):
            return SubmitResponse(refused=Refusal(reason=match[1]))
        return SubmitResponse(doubt=Doubt(reason=outcome.complaint))
