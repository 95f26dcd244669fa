"""Templates of applications become bash in which every value is one word."""

import time

import pytest

from slurm_provider.launch.errors import LaunchError
from slurm_provider.launch.template import Interface, Rendered, Rendering, Template, render
from slurm_provider.tracker.rendering import render_apart

NAMES: dict[str, object] = {
    "n": 8,
    "x": 0.0000001,
    "q": False,
    "y": True,
    "f": "/w/a b",
    "t": "it's",
    "e": "",
    "many": ["a b", "c"],
}
UCLOUD: dict[str, object] = {
    "jobId": "7",
    "machine": {"cpu": 4, "name": "u 1"},
    "webPort": None,
    "vncPort": 5900,
    "nodes": 2,
}


def rendered(text: str, *, quote: bool = True, srun: str = "srun") -> Rendered:
    return render(Rendering([Template(text, quote)], NAMES, ["unset"], UCLOUD, srun))


@pytest.mark.parametrize(
    ("text", "bash"),
    [
        (
            '{{ srun() }}gmx {{ n | option("-nt") }} {{ q | flag("-quiet") }}'
            ' {{ f | option("--file=") }} {{ t }}',
            "srun gmx -nt '8'  '--file=/w/a b' 'it'\"'\"'s'",
        ),
        ("echo $HOME 'as it is'", "echo $HOME 'as it is'"),
        ("{{ t }}", "'it'\"'\"'s'"),
        ("{{ e }}", "''"),
        ("$(( {{ n }} * 2 ))", "$(( 8 * 2 ))"),
        ("{{ x }}", "0.0000001"),
        ("{{ y }} {{ q }}", "true false"),
        ("{{ many }}", "'a b' 'c'"),
        ("{% for m in many %}{{ m }};{% endfor %}", "'a b';'c';"),
        ("{{ unset }}{{ none }}", ""),
        (
            "{{ unset == None }} {{ unset is defined }} {{ unset != None }} {{ n == None }}",
            "true false false false",
        ),
        ("{% if unset %}a{% else %}b{% endif %}", "b"),
        ('{{ y | flag("-v") }}{{ q | flag("-v", "-s") }}{{ unset | flag("-v") }}', "-v-s"),
        ('{{ unset | option("-n") }}', ""),
        ('{{ t | option("-n", false) }} {{ t | option("n=", true) }}', "'-nit'\"'\"'s' n= 'it'\"'\"'s'"),
        ('{{ e | option("-n") }}', "-n ''"),
        ('{{ t is match("t") }} {{ t is search("t") }} {{ t is match("it") }}', "false true true"),
        ('{{ ternary(q, "a b", "c d") }}', "'c d'"),
        ("{{ t ~ n }}", "'it'\"'\"'s8'"),
        ('{{ (n | option("-n")) ~ "; id" }}', "'-n '\"'\"'8'\"'\"'; id'"),
        ('{{ (n | option("-n")) + "; id" }}', "'-n '\"'\"'8'\"'\"'; id'"),
        ("{{ t | upper }} {{ '%s' | format(t) }}", "'IT'\"'\"'S' 'it'\"'\"'s'"),
        ("{{ t | e }} {{ t | escape }}", "'it'\"'\"'s' 'it'\"'\"'s'"),
        ("{{ '$HOME' | safe }}", "$HOME"),
        ("{% macro m(a) %}--m {{ a }}{% endmacro %}{{ m('a b') }}", "--m 'a b'"),
        ("{% set s %}--s {{ t }}{% endset %}{{ s }}", "--s 'it'\"'\"'s'"),
        ("{% set s | upper %}s{% endset %}{{ s }}", "S"),
        ("{{ ucloud.jobId }} {{ ucloud.machine.cpu }} {{ ucloud.machine.name }}", "'7' 4 'u 1'"),
        ("{{ ucloud.vncPort }} {{ ucloud.webPort }}", '5900 "${UCLOUD_PORT}"'),
        ("a\r\nb", "a\nb"),
        ("{{ '{{ t }}' }}", "'{{ t }}'"),
    ],
)
def test_a_template_becomes_this_bash(text: str, bash: str) -> None:
    assert rendered(text).texts == [bash]


def test_a_value_for_the_environment_is_not_quoted_here() -> None:
    assert rendered("{{ t }} {{ n }} {{ unset }}{{ f | option('-f') }}", quote=False).texts == [
        "it's 8 -f '/w/a b'"
    ]


def test_without_words_for_parallel_tasks_srun_is_nothing() -> None:
    assert rendered("{{ srun() }}hostname", srun="").texts == ["hostname"]


def test_options_of_sbatch_are_kept_in_order_and_leave_no_text() -> None:
    text = "{{ sbatch('signal', 'USR1') }}{% if n > 4 %}{{ sbatch('tmp', n) }}{% endif %}"
    assert rendered(text) == Rendered([""], directives=[("signal", "USR1"), ("tmp", "8")])


def test_interfaces_are_kept_and_leave_no_text() -> None:
    first, second = "(0, 'WEB', 'board', 6006)", "(1, 'VNC', none, ucloud.webPort)"
    text = f"{{{{ dynamicInterface{first} }}}}{{{{ dynamicInterface{second} }}}}"
    assert rendered(text) == Rendered(
        [""], interfaces=[Interface(0, "WEB", "board", 6006), Interface(1, "VNC", None, 0)]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{{ typo }}", "'typo' is undefined"),
        ("{{ ucloud.typo }}", "typo"),
        ("{% if %}", "in line 1"),
        ("a\n{{ b", "in line 2"),
        ('{% include "x" %}', "'include' cannot be used"),
        ('{% extends "x" %}', "'extends' cannot be used"),
        ('{% import "x" as y %}', "'import' cannot be used"),
        ('{% from "x" import y %}', "'from' cannot be used"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ '{0.__class__}'.format(t) }}", "unsafe"),
        ("{{ srun.__globals__ }}", "unsafe"),
        ("{{ many.append('x') }}", "unsafe"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ script('/opt/x') }}", "runs a script, but this site has none"),
        ("{{ dynamicInterface(0, 'SSH', none, 1) }}", "'SSH', not WEB or VNC"),
        ("{{ dynamicInterface(0, 'WEB', 'a.b', 1) }}", "named 'a.b'"),
        ("{{ dynamicInterface(0, 'WEB', 'x' * 31, 1) }}", "up to 30 letters, digits and hyphens"),
        ("{{ dynamicInterface(2, 'WEB', 'board', 1) }}", "of rank 2, which the job does not have"),
        ("{{ dynamicInterface(-1, 'WEB', 'board', 1) }}", "of rank -1"),
        ("{{ dynamicInterface(0, 'WEB', 'board', 65536) }}", "on port 65536, which is not between"),
        ("{% for i in range(10000000) %}{% endfor %}", "Range too big"),
        ("{% for i in range(60000) %}0123456789{% endfor %}", "more than 500000 characters"),
        ("{% macro r() %}{{ r() }}{% endmacro %}{{ r() }}", "recursion"),
    ],
)
def test_a_template_that_cannot_be_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        rendered(text)


def test_the_process_apart_gives_the_same_as_this_one() -> None:
    templates = [
        Template("{{ t }} {{ unset }} {{ x }} é😀"),
        Template("{{ sbatch('tmp', 1) }}{{ t }}", quote=False),
    ]
    rendering = Rendering(
        [*templates, Template("{{ dynamicInterface(0, 'WEB', 'b', 80) }}")], NAMES, ["unset"], UCLOUD
    )
    assert render_apart(rendering) == render(rendering)


def test_the_process_apart_refuses_in_the_same_words() -> None:
    with pytest.raises(LaunchError, match="'typo' is undefined"):
        render_apart(Rendering([Template("{{ typo }}")]))


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ ('a' * 40) is match('(a|aa)+$b') }}",
        "{{ range(99999) | map('string') | join('a' * 90000) }}",
    ],
    ids=["loops", "a power", "a long text", "a slow pattern", "a long list"],
)
def test_a_template_that_would_take_for_ever_or_all_memory_is_ended(text: str) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchError, match=r"takes too long|template fails: MemoryError|more than"):
        render_apart(Rendering([Template(text)]))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ sbatch('tmp', 'x' * 10**6) }}" * 9, "^the application's template asks for too much$"),
        ("{% set s = 'x' * 10**7 %}" + "{{ sbatch('tmp', s) }}" * 100, "too long, or too much memory$"),
        ("{{ dynamicInterface(0, 'x' * 10**7, '', 1) }}", "^the application's template.{,1000}$"),
        (
            "{% for n in range(101) %}{{ dynamicInterface(0, 'WEB', '', n) }}{% endfor %}",
            "more than 100 interfaces",
        ),
    ],
)
def test_a_template_cannot_flood_whoever_reads_what_it_asks_for(text: str, why: str) -> None:
    with pytest.raises(LaunchError, match=why) as raised:
        render_apart(Rendering([Template(text)]))
    assert len(str(raised.value)) <= 1000
