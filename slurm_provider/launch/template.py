"""Jinja templates of applications: text that becomes bash.

Every `{{ expression }}` that is text is quoted for bash, unless a filter or function made it as bash.
Templates are the work of application authors: they see no file, no attribute of Python and no other
template. How long they run is bounded by who calls (`slurm_provider.tracker.rendering`).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, nodes
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.quoting import quoted

_OTHER_TEMPLATES = {
    nodes.Extends: "extends",
    nodes.FromImport: "from",
    nodes.Import: "import",
    nodes.Include: "include",
}
_TARGET = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,28}[A-Za-z0-9])?")
_GLOBALS = ("dict", "namespace", "range")
MOST_CHARACTERS = 500_000
"""Of all that one application's templates become."""
MOST_INTERFACES = 100
"""Each is told to Core by an update of its own."""
MOST_SCRIPTS = 8
"""They are run one after the other while Core waits."""


@dataclass(frozen=True)
class Template:
    """One text to render; `quote` says whether it becomes bash, where values are quoted."""

    text: str
    quote: bool = True


@dataclass(frozen=True)
class Rendering:
    """Templates, and what they can name; plain data, so that another process can render them.

    `parameters` are the values by name, `unset` those without one. In `ucloud` a port of None is one
    that is chosen when the job starts. `srun` are the words that start parallel tasks.
    """

    templates: list[Template]
    parameters: dict[str, object] = field(default_factory=dict)
    unset: list[str] = field(default_factory=list)
    ucloud: dict[str, object] = field(default_factory=dict)
    srun: str = "srun"
    scripts: bool = False
    """Whether the site has scripts whose output can be inserted."""


@dataclass(frozen=True)
class Interface:
    """A web or VNC interface that a template announces; port 0 is the one that the job is given."""

    rank: int
    type: str
    target: str | None
    port: int


@dataclass(frozen=True)
class Rendered:
    """What templates became, and what they asked for on the way.

    `texts` have a mark in the place of each script's output: see `with_outputs`.
    """

    texts: list[str]
    directives: list[tuple[str, str]] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)


def with_outputs(rendered: Rendered, outputs: Sequence[str]) -> Rendered:
    """Return what was rendered with the outputs of its scripts in their places, as they are."""
    texts = rendered.texts
    for number, output in enumerate(outputs):
        texts = [text.replace(_mark(number), output) for text in texts]
    return replace(rendered, texts=texts)


def _mark(number: int) -> str:
    # No other text has a NUL: values and outputs with one are refused.
    return f"\0{number}\0"


class Bash(str):
    """Text that is bash already. Whatever is made from it is plain text again, and is quoted."""

    __slots__ = ()


class _Unset(Undefined):
    """An optional parameter without value: nothing, and equal to none."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Undefined)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = Undefined.__hash__


class _Environment(ImmutableSandboxedEnvironment):
    """A sandbox whose macros and `{% set %}` blocks make bash, and that knows no other template."""

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for kind, tag in _OTHER_TEMPLATES.items():
            if found := tree.find(kind):
                raise TemplateSyntaxError(f"'{tag}' cannot be used", found.lineno)
        for block in tree.find_all(nodes.AssignBlock):
            block.filter = nodes.Filter(block.filter, "safe", [], [], None, None)
        return tree

    def call(self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().call(__context, __obj, *args, **kwargs)
        return Bash(result) if isinstance(__obj, Macro) else result


def render(rendering: Rendering) -> Rendered:
    """Return what the templates become; raise LaunchError, in words, for those that fail.

    A name that the application does not declare is an error; a parameter without value is nothing.
    """
    rendered = Rendered(texts=[])
    for template in rendering.templates:
        environment = _environment(rendering, rendered, _as_bash if template.quote else _as_text)
        try:
            text = environment.from_string(template.text).render(_names(rendering))
        except LaunchError:
            raise
        except Exception as error:  # whatever a template can do wrong
            raise LaunchError(f"the application's template fails{_why(error)}") from error
        rendered.texts.append(text)
        if sum(map(len, rendered.texts)) > MOST_CHARACTERS:
            raise LaunchError(f"the application's template yields more than {MOST_CHARACTERS} characters")
    return rendered


def _names(rendering: Rendering) -> dict[str, object]:
    unset = {name: _Unset(name=name) for name in rendering.unset}
    return unset | rendering.parameters | {"ucloud": _ucloud(rendering.ucloud)}


def _why(error: Exception) -> str:
    if isinstance(error, TemplateSyntaxError):
        return f" in line {error.lineno}: {error.message}"
    return f": {str(error) or type(error).__name__}"


def _environment(rendering: Rendering, rendered: Rendered, finalize: Callable[[object], str]) -> _Environment:
    environment = _Environment(
        undefined=StrictUndefined, finalize=finalize, autoescape=False, keep_trailing_newline=True
    )
    environment.filters |= {"e": _quote, "escape": _quote, "flag": _flag, "option": _option, "safe": Bash}
    environment.tests |= {"match": _match, "search": _search}

    def sbatch(directive: str, value: object = "") -> Bash:
        rendered.directives.append((str(directive), _as_text(value)))
        return Bash()

    def dynamic_interface(rank: int, kind: str, target: str | None, port: object) -> Bash:
        if kind not in ("WEB", "VNC"):
            raise LaunchError(f"the application's template has an interface of type '{kind}', not WEB or VNC")
        if len(rendered.interfaces) == MOST_INTERFACES:
            raise LaunchError(f"the application's template has more than {MOST_INTERFACES} interfaces")
        number = 0 if isinstance(port, Bash) else int(str(port))
        interface = Interface(int(rank), kind, str(target) if target else None, number)
        rendered.interfaces.append(_checked(interface, rendering.ucloud.get("nodes")))
        return Bash()

    def script(path: object) -> Bash:
        if not rendering.scripts:
            raise LaunchError("the application's template runs a script, but this site has none")
        if len(rendered.scripts) == MOST_SCRIPTS:
            raise LaunchError(f"the application's template runs more than {MOST_SCRIPTS} scripts")
        rendered.scripts.append(str(path))
        return Bash(_mark(len(rendered.scripts) - 1))

    environment.globals = {name: environment.globals[name] for name in _GLOBALS} | {
        "dynamicInterface": dynamic_interface,
        "sbatch": sbatch,
        "script": script,
        "srun": lambda: Bash(f"{rendering.srun} " if rendering.srun else ""),
        "ternary": lambda condition, yes, no: yes if condition else no,
    }
    return environment


def _checked(interface: Interface, nodes: object) -> Interface:
    """Return an interface unchanged; raise LaunchError for one that no browser could be led to."""
    what = "the application's template has an interface"
    if interface.target is not None and not _TARGET.fullmatch(interface.target):
        raise LaunchError(
            f"{what} named {interface.target[:50]!r}: its name becomes part of a domain, and can have"
            " up to 30 letters, digits and hyphens between them"
        )
    if interface.rank < 0 or (isinstance(nodes, int) and interface.rank >= nodes):
        raise LaunchError(f"{what} of rank {interface.rank}, which the job does not have")
    if not 0 <= interface.port <= 65535:
        raise LaunchError(f"{what} on port {interface.port}, which is not between 1 and 65535")
    return interface


def _ucloud(facts: dict[str, object]) -> dict[str, object]:
    """Return a job's facts as a template sees them: a port that is not known yet is a variable of bash."""
    late = {name: Bash('"${UCLOUD_PORT}"') for name in ("webPort", "vncPort") if facts.get(name, 0) is None}
    return facts | late


def _as_bash(value: object) -> str:
    """Return what an expression becomes in a script: text in quotes, bash and numbers as they are."""
    if isinstance(value, Bash):
        return str(value)
    if isinstance(value, list | tuple):
        return " ".join(quoted(_as_text(inner)) for inner in value)
    text = _as_text(value)
    return text if isinstance(value, int | float | Undefined | None) else quoted(text)


def _as_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)), "f")
        case _:
            return str(value)


def _quote(value: object) -> Bash:
    return Bash(_as_bash(value))


def _flag(value: object, on: str, off: str = "") -> Bash:
    """Yield one text or the other, as they stand in the template."""
    return Bash(on if value else off)


def _option(value: object, name: str, add_space: bool | None = None) -> Bash:
    """Yield an option with its value, or nothing for a value that is not there."""
    if value is None or isinstance(value, Undefined):
        return Bash()
    apart = not name.endswith("=") if add_space is None else add_space
    text = _as_text(value)
    return Bash(f"{name} {quoted(text)}" if apart else quoted(name + text))


def _match(value: object, pattern: str) -> bool:
    return re.match(pattern, _as_text(value)) is not None


def _search(value: object, pattern: str) -> bool:
    return re.search(pattern, _as_text(value)) is not None
