"""A job as Core sends it becomes a plan: all that Slurm has to be told, but for who submits it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slurm_provider.config import FacadeConfig, Product
from slurm_provider.launch.body import Body
from slurm_provider.launch.command import Render
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.machine import VIRTUAL_MACHINE, machine
from slurm_provider.launch.peers import Peer
from slurm_provider.launch.product_choice import as_chosen
from slurm_provider.launch.program import program
from slurm_provider.launch.script import CONTROL_FOLDER
from slurm_provider.launch.template import render
from slurm_provider.rpc.v1.submission_pb2 import SbatchOption, SubmitRequest
from slurm_provider.ucloud.jobs import Application, Job, JobSpecification, ResolvedProduct

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
LONGEST_YEARS = 10
LONGEST_SECONDS = LONGEST_YEARS * 365 * 86400
MOST_REPLICAS = 1_000_000

START_WITHIN_SECONDS = 20
"""How long after a request the sidecar may still start sbatch."""


@dataclass(frozen=True)
class Plan:
    """A job that can be launched.

    `time_limit_seconds` is None where the partition's maximum is meant; `time_is_default` says that
    the user left the time to us, so that Core has to be told it.
    """

    job_id: str
    application: str
    product: Product
    replicas: int
    time_limit_seconds: int | None
    time_is_default: bool
    restart_on_exit: bool
    body: Body

    def submit_request(self, *, local_user: str, account: str, tag: str, job_folder: str) -> SubmitRequest:
        """Return the request to the sidecar; `tag` names the job, in Slurm's job name and comment."""
        return SubmitRequest(
            local_user=local_user,
            name=tag,
            comment=tag,
            account=account,
            partition=self.product.partition,
            qos=self.product.qos or "",
            constraint=self.product.constraint or "",
            nodes=self.replicas,
            tasks_per_node=self.body.options.tasks_per_node,
            cpus_per_task=self.body.options.cpus_per_task,
            memory_mib_per_node=round(self.product.memory_gib * 1024) + self.body.overhead_mib,
            gpus_per_node=self.product.gpu,
            time_limit_seconds=self.time_limit_seconds or 0,
            folder=job_folder.format(user=local_user, job=self.job_id),
            control_folder=CONTROL_FOLDER,
            script=self.body.script,
            start_within_seconds=START_WITHIN_SECONDS,
            confined_paths=self.body.values.confined_paths,
            requeue=self.product.may_requeue(wants_restarts=self.restart_on_exit),
            image=self.body.image,
            options=[SbatchOption(name=name, value=value) for name, value in self.body.options.others],
        )


def plan(job: Job, config: FacadeConfig, peers: Sequence[Peer] = (), render: Render = render) -> Plan:
    """Return how a job is launched; raise LaunchError, in words for the user, where it cannot be.

    `peers` are the connected jobs that it names, looked up. `render` renders templates; the default
    does it in this process, however long it takes.
    """
    job_id = checked_job_id(job.id)
    _check_texts(job)
    specification = job.specification or JobSpecification()
    application = job.status.resolvedApplication if job.status else None
    if application is None or application.invocation is None:
        raise LaunchError("the job names no application to run")
    product = as_chosen(_product(specification, config), specification.parameters or {})
    replicas = _replicas(specification, application)
    if application.tool.backend == VIRTUAL_MACHINE:
        body = machine(job_id, specification, application, product, config.virtual_machines)
    elif product.virtual_machines:
        raise LaunchError(f"the machine type '{product.id}' runs virtual machines only")
    else:
        models = (job.status.resolvedProduct if job.status else None) or ResolvedProduct()
        body = program(
            job_id,
            specification,
            application,
            product,
            config,
            models=models,
            replicas=replicas,
            peers=peers,
            render=render,
        )
    return Plan(
        job_id=job_id,
        application=_application_name(application, specification),
        product=product,
        replicas=replicas,
        time_limit_seconds=_time_limit(specification, application),
        time_is_default=specification.timeAllocation is None,
        restart_on_exit=bool(specification.restartOnExit),
        body=body,
    )


def checked_job_id(job_id: str) -> str:
    """Return a job's id unchanged; raise LaunchError for one that cannot be part of names and paths."""
    if not _JOB_ID.fullmatch(job_id):
        raise LaunchError(f"{job_id!r} cannot be the id of a job")
    return job_id


def _checked_seconds(seconds: int) -> int:
    """Return a length of time unchanged; raise LaunchError for one that no job can be given."""
    if seconds <= 0:
        raise LaunchError("the time allocation of a job must be longer than nothing")
    if seconds > LONGEST_SECONDS:
        raise LaunchError(f"the time allocation of a job can be at most {LONGEST_YEARS} years")
    return seconds


def _check_texts(job: Job) -> None:
    """Raise LaunchError for text that no file can hold: JSON may name half of a character."""
    for place, text in _texts(job.model_dump(exclude_none=True), ()):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            where = ".".join(place).encode(errors="replace").decode()
            raise LaunchError(f"{where}: the text is not Unicode") from error


def _texts(value: object, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield (*place, key), key
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*place, str(index)))


def _product(specification: JobSpecification, config: FacadeConfig) -> Product:
    wanted = specification.product
    found = config.product(wanted.category, wanted.id) if wanted else None
    if wanted is None or found is None or wanted.provider not in ("", config.provider.id):
        name = f"{wanted.category}/{wanted.id}" if wanted else "none"
        raise LaunchError(f"the machine type '{name}' is not known to the provider '{config.provider.id}'")
    return found


def _application_name(application: Application, specification: JobSpecification) -> str:
    name = application.metadata or specification.application
    text = f"{name.name} {name.version}" if name else "unknown"
    for label in (text, specification.name or ""):
        if any(character < " " for character in label):
            raise LaunchError(f"the name {label!r} holds a line end or another control character")
    return text


def _replicas(specification: JobSpecification, application: Application) -> int:
    replicas = 1 if specification.replicas is None else specification.replicas
    if replicas < 1:
        raise LaunchError(f"a job needs at least one replica, not {replicas}")
    if replicas > MOST_REPLICAS:
        raise LaunchError(f"a job can have at most {MOST_REPLICAS} replicas")
    if replicas > 1 and application.invocation and application.invocation.allowMultiNode is False:
        raise LaunchError(f"the application runs on one node only; {replicas} were asked for")
    return replicas


def _time_limit(specification: JobSpecification, application: Application) -> int | None:
    """Return the seconds asked for, else the tool's default; None leaves it to the partition's maximum."""
    if specification.timeAllocation is not None:
        return _checked_seconds(specification.timeAllocation.total_seconds())
    default = application.tool.defaultTimeAllocation
    return _checked_seconds(default.total_seconds()) if default and default.total_seconds() else None
