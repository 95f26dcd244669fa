"""The bash that an application is, with all that has to come before it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from slurm_provider.config import FacadeConfig
from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.facts import Facts
from slurm_provider.launch.invocation import command_line, exports, text
from slurm_provider.launch.modules import module_lines
from slurm_provider.launch.quoting import quoted
from slurm_provider.launch.software import Software
from slurm_provider.launch.template import Interface, Rendered, Rendering, Template
from slurm_provider.launch.values import Values
from slurm_provider.ucloud.jobs import ApplicationInvocation, NameAndVersion, ToolDescription
from slurm_provider.ucloud.values import InvocationParameter

Render = Callable[[Rendering], Rendered]


@dataclass(frozen=True)
class Command:
    """Lines of bash, and what the application asked for beside them.

    `is_batch` says that the lines are the batch script's own: they run once, on the first node, and
    start parallel tasks themselves. Otherwise they run once in each replica.
    """

    lines: list[str]
    is_batch: bool = False
    options: list[tuple[str, str]] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)


def command(
    facts: Facts,
    tool: ToolDescription,
    values: Values,
    config: FacadeConfig,
    *,
    in_container: bool,
    render: Render,
) -> Command:
    """Return what a job runs; raise LaunchError, in words for the user, where it cannot be.

    A container is entered once for each replica, so a template in one has no tasks of its own to start.
    """
    invocation = facts.invocation
    software = Software(config.applications, config.system, _needed(tool))
    template = _template(invocation, values)
    bodies = [] if template is None else [software.template(text) for text in (template, *values.workflows)]
    srun = "" if in_container else config.system.srun
    has_scripts = config.system.scripts is not None
    rendered = _render(facts, values, bodies, srun=srun, scripts=has_scripts, render=render)
    run = [text.replace("\r\n", "\n") for text in rendered.texts]  # sbatch takes no other line ends
    if template is None:
        run = [*software.load_lines(), f"exec {command_line(invocation.invocation or [], values)}"]
    return Command(
        lines=[
            *module_lines([*(tool.requiredModules or []), *values.modules], config.modules.init),
            *exports(invocation.environment or {}, values),
            *run,
        ],
        is_batch=template is not None and not in_container,
        options=[*_options(invocation, values), *rendered.directives],
        interfaces=rendered.interfaces,
    )


def _needed(tool: ToolDescription) -> list[NameAndVersion]:
    return (tool.loadInstructions.applications if tool.loadInstructions else None) or []


def _render(
    facts: Facts, values: Values, bodies: list[str], *, srun: str, scripts: bool, render: Render
) -> Rendered:
    """Render the templates of a job all at once; what those of values become is kept in `values`."""
    plain = _plain_templates(facts.invocation)
    if not bodies and not plain:
        return Rendered(texts=[])
    templates = [Template(text) for text in bodies] + [Template(text, quote=False) for text in plain]
    rendered = render(Rendering(templates, values.typed, values.unset, facts.for_templates(), srun, scripts))
    values.rendered |= dict(zip(plain, rendered.texts[len(bodies) :], strict=True))
    return replace(rendered, texts=rendered.texts[: len(bodies)])


def path_line(folder: str) -> str:
    """Return the line that puts a folder before all others on PATH."""
    return f'export PATH={quoted(folder)}:"$PATH"'


def _template(invocation: ApplicationInvocation, values: Values) -> str | None:
    """Return the template that the application is, None for one that is a list of arguments."""
    pieces = invocation.invocation or []
    templates = [piece for piece in pieces if piece.type == "jinja"]
    if templates and len(pieces) > 1:
        raise LaunchError("the application's command line has a template beside other parts")
    if values.workflows and not templates:
        raise LaunchError("the application has no template that a workflow could follow")
    return (templates[0].template or "") if templates else None


def _plain_templates(invocation: ApplicationInvocation) -> list[str]:
    """Return the templates whose text is a value and no bash: of the environment and of sbatch's options."""
    pieces: list[InvocationParameter] = [
        *(invocation.environment or {}).values(),
        *(invocation.sbatch or {}).values(),
    ]
    return [piece.template or "" for piece in pieces if piece.type == "jinja"]


def _options(invocation: ApplicationInvocation, values: Values) -> list[tuple[str, str]]:
    found = ((name, text(piece, values)) for name, piece in (invocation.sbatch or {}).items())
    return [(name, value) for name, value in found if value is not None]
