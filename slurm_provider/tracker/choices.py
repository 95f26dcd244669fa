"""What a user may choose for a job beside its application: offered on the form, checked and obeyed at create.

Nothing that comes back is trusted: it must be offered to this very owner, product and cluster.
"""

import asyncio
import glob
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from slurm_provider.config import FacadeConfig
from slurm_provider.launch.product_choice import (
    chosen_text,
    one_of,
    partitions_to_choose,
    qos_to_choose,
)
from slurm_provider.rpc.v1.queue_pb2 import Limits
from slurm_provider.rpc.v1.submission_pb2 import SubmitRequest
from slurm_provider.tracker.module_list import ModuleList
from slurm_provider.ucloud.choices import (
    ACCOUNT,
    MODULES,
    PARTITION,
    QOS,
    EnumerationParameter,
    ModulesParameter,
    Option,
)
from slurm_provider.ucloud.jobs import Job
from slurm_provider.ucloud.values import ParameterValue

Parameter = EnumerationParameter | ModulesParameter


class UserChoices:
    """The choices that the site's configuration leaves to its users."""

    def __init__(self, config: FacadeConfig) -> None:
        self._config = config
        self._modules = ModuleList(config.choices)

    async def offered(self, identities: Iterable[tuple[str, str, bool, Limits | None]]) -> list[Parameter]:
        """Return the parameters for a form.

        `identities` are, for each cluster, the owner's local user and account, whether the job is in a
        project, and the cluster's limits.
        """
        accounts = [
            account
            for user, own, in_project, limits in identities
            for account in self._accounts(user, own, limits, in_project=in_project)
        ]
        products = self._config.products
        partitions = [name for p in products if p.partition_choices for name in partitions_to_choose(p)]
        qos = [name for p in products for name in qos_to_choose(p)]
        choices = (
            (ACCOUNT, accounts, "Slurm account", "The account that the job is charged to on the cluster."),
            (PARTITION, partitions, "Partition", "Where the job runs, if the machine type leaves a choice."),
            (QOS, qos, "Quality of service", "The job's QOS, if the machine type leaves a choice."),
        )
        parameters: list[Parameter] = [
            EnumerationParameter(name=name, title=title, description=text, options=_options(values))
            for name, values, title, text in choices
            if len(set(values)) > 1
        ]
        if modules := await asyncio.to_thread(self._modules.modules):
            text = "Software of the cluster that is loaded before the application starts."
            parameters.append(ModulesParameter(title="Modules", description=text, supportedModules=modules))
        return parameters

    async def apply(self, job: Job, request: SubmitRequest, limits: Limits | None) -> None:
        """Put the account that the user has chosen into a request that has the owner's; check the modules.

        Raises LaunchError for what was not offered. Partition and QOS are the plan's.
        """
        values = (job.specification.parameters if job.specification else None) or {}
        in_project = bool(job.owner and job.owner.project)
        if account := chosen_text(values, ACCOUNT):
            own = request.account
            allowed = self._accounts(request.local_user, own, limits, in_project=in_project)
            request.account = one_of(account, [own, *allowed], "Slurm account")
        if chosen := _modules(values):
            offered = {module.name for module in await asyncio.to_thread(self._modules.modules)}
            for name in chosen:
                one_of(name, offered, "module")

    def account(self, job: Job, user: str, own: str, limits: Limits | None) -> str:
        """Return the account of a job that was submitted before: the chosen one if it can have been."""
        values = (job.specification.parameters if job.specification else None) or {}
        in_project = bool(job.owner and job.owner.project)
        given = values.get(ACCOUNT)
        chosen = given.value if given else None
        allowed = self._accounts(user, own, limits, in_project=in_project)
        return chosen if isinstance(chosen, str) and chosen in allowed else own

    def _accounts(self, user: str, own: str, limits: Limits | None, *, in_project: bool) -> list[str]:
        """Return the accounts that the user has by association and that the site lets users choose."""
        choices = self._config.choices
        patterns = choices.project_accounts if in_project else choices.accounts
        if not patterns or limits is None:
            return []
        globs = [pattern.format(account=glob.escape(own)) for pattern in patterns]
        associated = {a.account for a in limits.associations if a.user == user}
        matching = {name for name in associated if any(fnmatchcase(name, pattern) for pattern in globs)}
        return sorted(matching | ({own} & associated))


def _options(values: Sequence[str]) -> list[Option]:
    return [Option(name=value, value=value) for value in dict.fromkeys(values)]


def _modules(values: dict[str, ParameterValue]) -> list[str]:
    given = values.get(MODULES)
    return (given.modules or []) if given else []
