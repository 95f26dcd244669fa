"""The site's installed software: the bash that loads it, and the tags by which a template asks for it."""

import re
from collections.abc import Mapping, Sequence

from slurm_provider.config import InstalledApplication, System
from slurm_provider.launch.errors import LaunchError
from slurm_provider.ucloud.jobs import NameAndVersion

# `{- name("a", "b") -}`, but neither `{{- x -}}` nor `{%- x -%}`, which are Jinja's. No part is given back
# once it has matched, or a long run of blanks would take for ever.
_TAG = re.compile(r"(?<!\{)\{-\s*+(\w++)\s*+(?:\(([^()]*+)\)\s*+)?-\}(?!\})")
_ARGUMENT = re.compile(r'"([^"]*)"')
_LOADING = ("applicationLoad", "loadApplication")
POLICIES = ("loose", "loose-forward", "loose-backward", "strict")


class Software:
    """Installed applications by `name@version`, and those that a tool needs."""

    def __init__(
        self,
        installed: Mapping[str, InstalledApplication],
        system: System,
        needed: Sequence[NameAndVersion] = (),
    ) -> None:
        self._installed = installed
        self._system = system
        self._needed = needed
        self._policies: dict[str, str] = {}

    def load_lines(self) -> list[str]:
        """Return the bash that loads what the tool needs; nothing when it needs nothing."""
        if not self._needed:
            return []
        return [text for text in (self._system.load, *self._each("load")) if text]

    def template(self, text: str) -> str:
        """Return a template with its `{- … -}` tags replaced.

        Where none of them loads what the tool needs, that comes first. Raises LaunchError for a tag or
        software that is not known.
        """
        loads = any(tag[1] in _LOADING for tag in _TAG.finditer(text))
        before = [] if loads else [_verbatim(line) for line in self.load_lines()]
        return "\n".join([*before, _TAG.sub(self._replace, text)])

    def _replace(self, tag: re.Match[str]) -> str:
        arguments = _ARGUMENT.findall(tag[2] or "")
        match tag[1], arguments:
            case "systemLoad", []:
                return _verbatim(self._system.load)
            case "systemUnload", []:
                return _verbatim(self._system.unload)
            case "applicationLoad", []:
                return _verbatim("\n".join(self._each("load")))
            case "applicationUnload", []:
                return _verbatim("\n".join(self._each("unload")))
            case "loadApplication", [name, version]:
                return _verbatim(self._find(name, version).load)
            case "unloadApplication", [name, version]:
                return _verbatim(self._find(name, version).unload)
            case "versionResolver", [policy]:
                self._policies[""] = policy
                return ""
            case "versionResolver", [name, policy]:
                self._policies[name] = policy
                return ""
            case _:
                raise LaunchError(f"the application's template has the unknown tag {tag[0]}")

    def _each(self, what: str) -> list[str]:
        found = [self._find(needed.name, needed.version) for needed in self._needed]
        return [application.load if what == "load" else application.unload for application in found]

    def _find(self, name: str, version: str) -> InstalledApplication:
        """Return an installed application in the wanted version or the one that the policy takes instead."""
        policy = self._policies.get(name, self._policies.get("", "strict"))
        if policy not in POLICIES:
            version, policy = policy, "strict"
        installed = (key.rpartition("@") for key in self._installed)
        versions = sorted((v for n, _, v in installed if n == name), key=_comparable)
        chosen = _choose(versions, version, policy)
        if chosen is None:
            raise LaunchError(f"the software {name} {version} is not installed on this provider")
        return self._installed[f"{name}@{chosen}"]


def _choose(versions: Sequence[str], wanted: str, policy: str) -> str | None:
    """Return the wanted version, else the nearest that the policy allows: newer ones first."""
    if wanted in versions:
        return wanted
    newer = [version for version in versions if _comparable(version) > _comparable(wanted)]
    older = [version for version in versions if _comparable(version) < _comparable(wanted)]
    if newer and policy in ("loose", "loose-forward"):
        return newer[0]
    if older and policy in ("loose", "loose-backward"):
        return older[-1]
    return None


def _comparable(version: str) -> list[tuple[bool, int, str]]:
    """Return a key by which 1.10 comes after 1.9, and a word before a number."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _verbatim(text: str) -> str:
    """Return the site's bash so that Jinja leaves it as it is: `${#a}` would begin a comment."""
    return "{% raw %}" + text + "{% endraw %}" if text else ""
