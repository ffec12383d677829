"""The documentation: tutorial and guide run, generated parts are whole, links lead somewhere, the site builds."""

import contextlib
import importlib.util
import inspect
import os
import pathlib
import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest
from test_architecture import LEVEL

import snn_toolbox_tf as snn
from snn_toolbox_tf.cli import main
from snn_toolbox_tf.config import SECTIONS, fields_of
from snn_toolbox_tf.config.foreign import FOREIGN_KEYS
from snn_toolbox_tf.config.output_sections import LOG_VARIABLES
from snn_toolbox_tf.config.sections import ALIASES, SECTION_OF

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "NO_MKDOCS_2_WARNING": "1"}


@pytest.fixture(scope="module")
def hooks():
    """The module that generates parts of pages."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page, language):
    """Contents of a page's fenced blocks in one language."""
    return re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)


def run(arguments, folder, timeout=600):
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout
    )


#: Runs a page's code on fewer of the digits, with one epoch for each of its trainings, and figures that are not drawn.
HURRIED = """
def _hurry():
    import keras, sklearn.datasets, tensorflow
    from snn_toolbox_tf.report import style

    keras.config.disable_traceback_filtering()
    tensorflow.debugging.disable_traceback_filtering()
    fit, load_digits = keras.Model.fit, sklearn.datasets.load_digits

    def few(**options):
        digits = load_digits(**options)
        if options:
            return tuple(array[:500] for array in digits)
        return sklearn.utils.Bunch(images=digits.images[:500], target=digits.target[:500])

    style.image = lambda figure, form, dpi: b""
    keras.Model.fit = lambda model, *args, epochs=1, **kwargs: fit(model, *args, **kwargs)
    sklearn.datasets.load_digits = few

_hurry()
"""


def hurried(script):
    """The script with 300 of the digits where it takes 1,200, and with few filters."""
    return HURRIED + re.sub(r"Conv2D\(\d+", "Conv2D(4", re.sub(r"\b12(\d\d)\b", r"3\1", script))


either_way = pytest.mark.parametrize(
    "change",
    [
        pytest.param(hurried, marks=pytest.mark.long, id="hurried"),
        pytest.param(str, marks=pytest.mark.slow, id="as it stands"),
    ],
)


@pytest.mark.slow
@either_way
def test_tutorial_runs(tmp_path, monkeypatch, capsys, change):
    page = (DOCS / "tutorial.md").read_text()
    done = run(["-c", change("\n".join(blocks(page, "python")))], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "serving_folder" / "saved_model.pb").is_file()
    assert (tmp_path / "python" / "report.html").is_file()
    (tmp_path / "config.ini").write_text(blocks(page, "ini")[0])
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    commands = [shlex.split(line.removeprefix("$ snn-toolbox-tf ")) for line in lines]
    assert {command[0] for command in commands} == {"check", "run", "evaluate"}
    # In this process, because most of their time would be TensorFlow's import.
    monkeypatch.chdir(tmp_path)
    # In a hurry a run and a sweep less: the pages on reports and the README have these commands as well.
    for command in commands if change is str else [command for command in commands if command[0] != "run"][:-1]:
        assert main(command) == 0, f"{command}: {capsys.readouterr().err}"
    assert change is hurried or (tmp_path / "durations" / "duration=4" / "report.html").is_file()


@either_way
def test_guide_runs(tmp_path, change):
    """These pages are one script; the first says so. The page on rules takes model and data from there."""
    names = ("converting", "simulating", "fine-tuning", "deploying", "which-t-which-rule", "nir")
    script = "\n".join(block for name in names for block in blocks((DOCS / f"{name}.md").read_text(), "python"))
    done = run(["-c", change(script)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "serving_folder" / "saved_model.pb").is_file()
    assert len(list(tmp_path.rglob("report.html"))) == 5  # a run, and a sweep with its three runs
    assert "{'conv_relu': 4}" in done.stdout


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", ["energy", "weight-precision", "bias-and-variance", "robustness", "dt-and-timesteps"])
def test_pages_of_studies_run_as_they_stand(tmp_path, name):
    done = run(["-c", "\n".join(blocks((DOCS / f"{name}.md").read_text(), "python"))], tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("*.png"))


@pytest.mark.long
def test_event_cameras_run(tmp_path):
    done = run(["-c", "\n".join(blocks((DOCS / "events.md").read_text(), "python"))], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(60, 8, 16, 16, 2)\n")
    assert float(done.stdout.splitlines()[1]) > 0.9


@pytest.mark.slow
@pytest.mark.long
def test_extending_runs_as_it_stands(tmp_path):
    done = run(["-c", "\n".join(blocks((DOCS / "extending.md").read_text(), "python"))], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.usefixtures("undrawn")
def test_commands_of_the_report_page_run_as_they_stand(tmp_path, monkeypatch, capsys):
    page = (DOCS / "reporting.md").read_text()
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    model.save(tmp_path / "net.keras")
    generator = np.random.default_rng(0)
    for name in ("x_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", generator.random((120, 6), dtype=np.float32))
    np.savez(tmp_path / "y_test.npz", generator.integers(0, 3, 120))
    (tmp_path / "config.ini").write_text(blocks(page, "ini")[0])
    monkeypatch.chdir(tmp_path)
    commands = [
        line.removeprefix("$ snn-toolbox-tf ") for block in blocks(page, "console") for line in block.splitlines()
    ]
    assert len(commands) == 7
    for command in commands:
        try:
            status = main(shlex.split(command))
        except SystemExit as done:
            status = done.code
        assert status == 0, f"{command}: {capsys.readouterr().err}"
    assert len(list(tmp_path.rglob("report.html"))) == 6  # a run, and a sweep with its four runs


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for path in PAGES:
        assert f": {path.relative_to(DOCS).as_posix()}\n" in navigation, path


def test_every_path_in_contributing_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = set(re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text)) - {"site/", "dist/", "core/"}
    assert len(paths) > 30
    for path in paths:
        assert (ROOT / path).exists(), path


def test_contributing_names_every_room_in_the_order_of_imports():
    rooms = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), flags=re.MULTILINE)
    assert set(rooms) == {path.parent.name for path in (ROOT / "snn_toolbox_tf").glob("*/__init__.py")}
    assert rooms == sorted(rooms, key=LEVEL.get)


def test_every_option_of_a_conversion_is_in_the_guide():
    described = re.findall(r"^\| `(\w+)` \| (\S+) \|", (DOCS / "converting.md").read_text(), flags=re.MULTILINE)
    parameters = inspect.signature(snn.convert_keras).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert {name for name, _ in described} == set(defaults)
    for name, default in described:
        assert default.strip('"') == str(defaults[name]), name


def test_configuration_reference_names_every_key_with_its_default(hooks):
    text = hooks.configuration_reference()
    defaults = snn.Settings()
    for section in SECTIONS:
        assert f"### [{section}]" in text
        for key, value in defaults.items(section):
            (row,) = re.findall(rf'<tr><td><code id="{key}">{key}</code>.*</tr>', text)
            written = fields_of(section)[key].metadata["kind"].write(value)
            assert (f"<td><code>{written}</code></td>" if written else "<td><em>empty</em></td>") in row
            assert f"--{key.replace('_', '-')}" in row.replace("[no-]", "")


def test_every_key_of_snn_toolbox_is_explained(hooks):
    text = hooks.foreign_keys()
    for section, keys in FOREIGN_KEYS.items():
        assert f"### [{section}] of snn_toolbox" in text
        for key in keys:
            assert f"<td><code>{key}</code></td>" in text


def test_values_and_names_are_explained(hooks):
    assert "(8, 16, 24, 32)" in hooks.written_values()
    for name in LOG_VARIABLES:
        assert name in hooks.names_of_variables()


def test_help_of_every_command_is_shown(hooks):
    text = hooks.commands()
    documented = re.findall(r"^### (\w+)$", text, flags=re.MULTILINE)
    assert documented == ["check", "run", "study", "convert", "evaluate", "export", "example", "template"]
    assert set(documented) == set(re.findall(r"^    (\w+)  ", hooks.help_text([]), flags=re.MULTILINE))
    for key in SECTION_OF:
        assert f"--{key.replace('_', '-')}" in text


def test_every_exit_status_is_explained(hooks):
    statuses = re.findall(r"(?<![\w.])(\d+)\s+[a-z]", hooks.help_text([]).partition("exit status:")[2])
    assert {"0", "1", "2", "130"} <= set(statuses)
    for status in statuses:
        assert f"\n| {status} | " in (DOCS / "command-line.md").read_text()


def test_pages_mention_settings_that_exist():
    for path in PAGES:
        for command in re.findall(r"^\$ snn-toolbox-tf (.*)$", path.read_text(), flags=re.MULTILINE):
            for flag in re.findall(r"--([a-z-]+)", command):
                own = ("json", "resume", "quiet", "help", "output")
                known = flag.replace("-", "_") in {**SECTION_OF, **ALIASES} or flag in own
                assert known, f"{path.name}: --{flag}"


def test_code_of_the_pages_is_python():
    for path in PAGES:
        for block in blocks(path.read_text(), "python"):
            compile(block, str(path), "exec")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_internal_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.is_file(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def anchors(path):
    """Anchors of a page's own headings, and of what its API directives show."""
    text = re.sub(r"<!-- generated: include (.+?) -->", lambda match: (ROOT / match[1]).read_text(), path.read_text())
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    slugs = {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", title).strip().lower()) for title in titles}
    return slugs | set(re.findall(r"^::: (\S+)$", text, flags=re.MULTILINE))


def test_formulas_become_mathml(hooks):
    page = (
        '<p>At <span class="arithmatex">\\(t &lt; T\\)</span></p><div class="arithmatex">\\[\n\\frac{N}{T}\n\\]</div>'
    )
    with contextlib.suppress(ModuleNotFoundError):
        converted = hooks.formulas_as_mathml(page)
        assert "arithmatex" not in converted
        assert "<mfrac>" in converted
        assert converted.count("<math") == 2
        return
    pytest.skip("latex2mathml is not installed: pip install '.[docs]'")


def test_site_builds_without_warnings(tmp_path):
    if not all(map(importlib.util.find_spec, ("mkdocs", "material", "mkdocstrings", "latex2mathml"))):
        pytest.skip("MkDocs is not installed: pip install '.[docs]'")
    done = run(["-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")], ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > len(PAGES)
    for path, text in pages.items():
        assert "arithmatex" not in text, path
        assert "<!-- generated" not in text, path
        # The site is read without a network.
        assert not re.search(r"""<(script|link|img)[^>]*(src|href)=["'](https?:)?//""", text), path
