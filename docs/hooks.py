"""MkDocs hooks: reference tables generated from the code, included files, formulas as MathML."""

import contextlib
import html
import io
import os
import pathlib
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: What a page writes where a generated part belongs: <!-- generated: name -->
_MARKER = re.compile(r"<!-- generated: (.+?) -->")

#: Values in the ways that a configuration file can write them; the table shows what they are read as.
_WRITTEN_VALUES = [
    ("poisson_input", ["True", "yes", "on", "1"]),
    ("duration", ["200", "1e2", "12.5", "auto"]),
    ("timesteps", ["64"]),
    ("num_to_test", ["100", "None", ""]),
    ("sample_idxs_to_test", ["[3, 1, 2]", "3, 1, 2", "3", "[]"]),
    ("population_starts", ["conv1_relu: 4, conv2_relu: 8", "{'conv1_relu': 4, 'conv2_relu': 8}"]),
    ("plot_vars", ["{'v_mem', 'error_t'}", "v_mem, error_t", "all", "{}", "set()"]),
    ("reset", ["Reset by subtraction", "subtract", "Reset to zero", "zero"]),
    ("param_values", ["[0.5, 1, 2]", "8, 16, 32", "8:32:8", "0.1:0.3:0.1", "3:1:-1"]),
]

#: What each name of [output] log_vars keeps, in recordings/.
_RECORDINGS = {
    "activations_n_b_l": "activations of the ANN, in files of their own (<code>..._activations.npz</code>)",
    "spiketrains_n_b_l_t": "spikes of every neuron at every timestep",
    "mem_n_b_l_t": "membrane potentials of every neuron at every timestep",
    "synaptic_operations_b_t": "synaptic operations per sample; every recording has them, and the outputs over time",
}


def on_config(config: Any, **kwargs: Any) -> None:
    """Makes the site describe the code beside it, whatever is installed."""
    # Not at import: MkDocs resets the path after loading hooks.
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Fills in the generated parts of a page."""
    return _MARKER.sub(lambda match: generated(match[1]), markdown)


def on_page_content(html: str, **kwargs: Any) -> str:
    """Turns the formulas of a page into MathML, which browsers show without any script."""
    return formulas_as_mathml(html)


def generated(name: str) -> str:
    """Returns a generated part of a page, as Markdown.

    Args:
        name: One of `PARTS`, or "include FILE" for a file of the repository.
    """
    if name.startswith("include "):
        return included(name.removeprefix("include "))
    return PARTS[name]()


def configuration_reference() -> str:
    """Returns a heading and a table per section of the settings."""
    from snn_toolbox_tf.config import SECTIONS, Settings, fields_of

    defaults = Settings()
    parts = ["Sections: " + " · ".join(f"[[{section}]](#{section})" for section in SECTIONS)]
    for section, kind in SECTIONS.items():
        rows = []
        for key, value in defaults.items(section):
            metadata = fields_of(section)[key].metadata
            written = metadata["kind"].write(value)
            name = f'<code id="{key}">{key}</code><br><code class="flag">{_flag(key, value)}</code>'
            default = _code(written) if written else "<em>empty</em>"
            rows.append([name, default, _text(metadata["kind"].expected), _text(metadata["doc"])])
        columns = ["Key and flag", "Default", "Expected", "Meaning"]
        parts += [f"### [{section}]", _text(kind.__doc__ or ""), _table(columns, rows, "settings")]
    return "\n\n".join(parts)


def _flag(key: str, default: Any) -> str:
    flag = key.replace("_", "-")
    return f"--[no-]{flag}" if isinstance(default, bool) else f"--{flag}"


def written_values() -> str:
    """Returns a table of what texts in a configuration file are read as."""
    from snn_toolbox_tf.config import read_value

    rows = []
    for key, texts in _WRITTEN_VALUES:
        ways: dict[Any, list[str]] = {}
        for text in texts:
            ways.setdefault(read_value(key, text), []).append(text)
        for value, same in ways.items():
            rows.append([_code(key), _listed(same), _code(_shown(value))])
    return _table(["Key", "In the file", "Is read as"], rows)


def _shown(value: Any) -> str:
    """A value as Python would write it; values of a sweep are texts until it is known which setting they are for."""
    texts = isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    return f"({', '.join(value)})" if texts else repr(value)


def names_of_variables() -> str:
    """Returns tables of the names that plot_vars and log_vars take."""
    from snn_toolbox_tf.config.output_sections import LOG_VARIABLES, PLOTS

    plots = [[_code(name), _listed(f"plots/{figure}.png" for figure in figures)] for name, figures in PLOTS.items()]
    recordings = [[_code(name), _RECORDINGS[name]] for name in LOG_VARIABLES]
    return "\n\n".join(
        [
            _table(["Name in plot_vars", "Draws"], plots),
            _table(["Name in log_vars", "Keeps, of all samples"], recordings),
        ]
    )


def foreign_keys() -> str:
    """Returns a heading and a table per section for the keys of snn_toolbox that have no counterpart."""
    from snn_toolbox_tf.config.foreign import FOREIGN_KEYS, FOREIGN_SECTIONS, FOREIGN_VALUES

    parts = ["Sections: " + " · ".join(f"[[{section}]](#{section}-of-snn_toolbox)" for section in FOREIGN_KEYS)]
    for section, keys in FOREIGN_KEYS.items():
        rows = []
        for key, known in keys.items():
            harmless = "any value" if known.harmless is None else _listed(known.harmless)
            otherwise = "" if known.harmless is None else "error" if known.refused else "note"
            rows.append([_code(key), harmless, otherwise, _sentence(known.answer)])
        columns = ["Key", "Read without comment", "Any other value", "What to use instead"]
        parts += [f"### [{section}] of snn_toolbox", _table(columns, rows, "settings foreign")]
    rows = [
        [_code(f"[{section}] {key} = {value}"), _sentence(answer)]
        for (section, key), answers in FOREIGN_VALUES.items()
        for value, answer in answers.items()
    ]
    parts += [
        "### Values and sections of snn_toolbox that are refused",
        _table(["Value", "What to use instead"], rows),
        f"Sections of other simulators are refused, too: {_listed(FOREIGN_SECTIONS)}.",
    ]
    return "\n\n".join(parts)


def commands() -> str:
    """Returns a heading and the help text of every command."""
    from snn_toolbox_tf.cli.commands import COMMANDS

    parts = [_console([], help_text([]))]
    for command in (*COMMANDS, "example", "template"):
        parts += [f"### {command}", *_command(command)]
    return "\n\n".join(parts)


def _command(command: str) -> list[str]:
    """The help of a command; what it says of single settings is folded, for it is in the configuration reference."""
    text = help_text([command])
    usage, *blocks = text.strip().split("\n\n")
    short, settings = [], []
    for block in blocks:
        if block.startswith("["):
            settings.append(block.partition(":")[0])
        elif not (settings and block.startswith(" ")):
            short.append(block)
    head = (
        usage
        if len(usage.splitlines()) < 8
        else re.sub(r"\s+\[--[\s\S]*\s(?=[A-Z_]+$)", " [options] [settings] ", usage)
    )
    parts = [_console([command], "\n\n".join([head, *short]))]
    if settings:
        listed = ", ".join(_code(section) for section in settings)
        parts.append(
            f"It has a flag for every setting of {listed}; see [the configuration reference](configuration.md)."
        )
        whole = "\n".join(f"    {line}".rstrip() for line in ["```text", *text.splitlines(), "```"])
        parts.append(f'??? note "All of `snn-toolbox-tf {command} --help`"\n\n{whole}')
    return parts


def _console(command: list[str], text: str) -> str:
    return f"```text\n$ {' '.join(['snn-toolbox-tf', *command, '--help'])}\n{text.strip()}\n```"


def help_text(command: list[str]) -> str:
    """Returns what `snn-toolbox-tf <command> --help` prints, in lines that fit the page."""
    from snn_toolbox_tf.cli.arguments import build_parser

    out = io.StringIO()
    with mock.patch.dict(os.environ, COLUMNS="88"), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        build_parser().parse_args([*command, "--help"])
    return out.getvalue()


def included(name: str) -> str:
    """Returns a file of the repository; its links to files outside the site become plain text."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)


def formulas_as_mathml(page: str) -> str:
    r"""Replaces what pymdownx.arithmatex left of `$...$` and `$$...$$`, LaTeX in \(...\) and \[...\]."""
    from latex2mathml.converter import convert

    def block(match: re.Match[str]) -> str:
        return f'<div class="formula">{convert(html.unescape(match[1]).strip(), display="block")}</div>'

    def inline(match: re.Match[str]) -> str:
        return convert(html.unescape(match[1]).strip())

    page = re.sub(r'<div class="arithmatex">\\\[([\s\S]*?)\\\]</div>', block, page)
    return re.sub(r'<span class="arithmatex">\\\(([\s\S]*?)\\\)</span>', inline, page)


def _table(columns: list[str], rows: Iterable[list[str]], kind: str = "") -> str:
    """A table in HTML, because cells hold what Markdown would take for markup: |x|, <name>, [a, b]."""
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<div class="reference {kind}">\n{table}\n</div>'


def _code(text: str) -> str:
    return f"<code>{html.escape(text, quote=False)}</code>"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(_code(text) if text else "<em>empty</em>" for text in texts)


def _text(text: str) -> str:
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _sentence(text: str) -> str:
    return _text(text[:1].upper() + text[1:]) + "."


def layers() -> str:
    """Returns a table of what becomes of each layer of Keras."""
    from snn_toolbox_tf.parse.supported_layers import supported_layers

    rows = [
        [_code(row.class_name), row.becomes, _sentence(row.how), _sentence(row.remedy) if row.remedy else ""]
        for row in supported_layers()
    ]
    return _table(["Layer", "Becomes", "How, or why not", "What to do instead"], rows)


def operations() -> str:
    """Returns a table of what becomes of operators and functions of `keras.ops`."""
    from snn_toolbox_tf.parse.supported_layers import supported_operations

    def marked(text: str) -> str:
        return re.sub("`(.+?)`", lambda match: _code(match[1]), text)

    return _table(
        ["Operation", "In the spiking network"], [[marked(names), how] for names, how in supported_operations()]
    )


PARTS: dict[str, Callable[[], str]] = {
    "configuration": configuration_reference,
    "written values": written_values,
    "names of variables": names_of_variables,
    "foreign keys": foreign_keys,
    "commands": commands,
    "layers": layers,
    "operations": operations,
}
