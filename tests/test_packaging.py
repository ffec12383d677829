"""What a distribution holds: everything that the installed package reads, what a build needs, and what an index shows."""

import email
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version

import pytest
import try_wheel
from packaging.requirements import Requirement

pytest.importorskip("setuptools", minversion="77")

ROOT = pathlib.Path(__file__).parents[1]
TEMPLATES = {path.name: path.read_text() for path in (ROOT / "config_templates").glob("*.ini")}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a build reads."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("snn_toolbox_tf", "config_templates", "docs", "examples"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "not_built.txt", "__pycache__")
        )
    return folder


def setup(source, *arguments):
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", *map(str, arguments)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def package(source, tmp_path_factory):
    """The package as a wheel has it, without the native library."""
    folder = tmp_path_factory.mktemp("built")
    setup(source, "build_py", "--build-lib", folder)
    return folder


def test_a_built_package_holds_all_that_is_no_python(package):
    files = {str(path.relative_to(package / "snn_toolbox_tf")) for path in package.rglob("*") if path.is_file()}
    expected = {f"report/{path.name}" for path in (ROOT / "snn_toolbox_tf" / "report").glob("*.jinja")}
    expected |= {"py.typed", "example_files/digits.ini", "example_files/digits_cnn.keras"}
    expected |= {f"config_templates/{name}" for name in TEMPLATES}
    assert {name for name in files if not name.endswith(".py")} == expected
    assert len(TEMPLATES) >= 4


def run_package(package, folder, *arguments):
    """Runs the command line of a built package and returns its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "snn_toolbox_tf", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_built_package_prints_its_templates(package, tmp_path):
    listed = run_package(package, tmp_path, "template")
    assert [f"{line.split()[0]}.ini" for line in listed.splitlines()] == sorted(TEMPLATES)
    for name, text in TEMPLATES.items():
        assert run_package(package, tmp_path, "template", name.removesuffix(".ini")) == text


def test_a_built_package_writes_its_example(package, tmp_path):
    assert "next: snn-toolbox-tf run digits/digits.ini" in run_package(package, tmp_path, "example")
    model = package / "snn_toolbox_tf" / "example_files" / "digits_cnn.keras"
    assert (tmp_path / "digits" / "digits_cnn.keras").read_bytes() == model.read_bytes()


def test_a_source_distribution_can_be_built(source, tmp_path):
    setup(source, "sdist", "--dist-dir", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    native = (path for path in (ROOT / "snn_toolbox_tf" / "ops").rglob("*") if path.suffix in (".cc", ".h"))
    needed = {str(path.relative_to(ROOT)) for path in native} | {f"config_templates/{name}" for name in TEMPLATES}
    needed |= {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    assert needed | {"setup.py", "pyproject.toml", "LICENSE", "README.md", "snn_toolbox_tf/py.typed"} <= held


def test_the_versions_that_this_runs_with_are_inside_the_bounds():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(version(requirement.name)), text
    python = ".".join(map(str, sys.version_info[:2]))
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]


@pytest.fixture(scope="module")
def metadata(source, tmp_path_factory):
    """What an index is told."""
    folder = tmp_path_factory.mktemp("metadata")
    setup(source, "dist_info", "--output-dir", folder)
    (path,) = folder.glob("*.dist-info/METADATA")
    return path.read_text()


def test_an_index_is_told_what_it_shows(metadata):
    told = email.message_from_string(metadata)
    for name in ("Name", "Version", "Summary", "Author", "Keywords", "Requires-Python"):
        assert told[name], name
    assert (told["License-Expression"], told["License-File"]) == ("MIT", "LICENSE")
    assert told["Description-Content-Type"] == "text/markdown"
    classifiers = told.get_all("Classifier")
    assert {"Typing :: Typed", "Operating System :: POSIX :: Linux"} <= set(classifiers)
    # With a license expression, an index refuses the classifiers that say the same.
    assert not [name for name in classifiers if name.startswith("License ::")]


def test_an_index_shows_the_readme_without_links_that_lead_nowhere(metadata):
    shown, readme = email.message_from_string(metadata).get_payload(), (ROOT / "README.md").read_text()
    assert re.findall(r"\]\((?!https?:)[^)]*\)", readme)
    assert not re.findall(r"\]\((?!https?:)[^)]*\)", shown)
    assert "![" not in shown
    code = re.compile(r"^```.*?^```", flags=re.DOTALL | re.MULTILINE)
    assert code.findall(shown) == code.findall(readme)
    assert re.findall(r"^#+ .*$", shown, flags=re.MULTILINE) == re.findall(r"^#+ .*$", readme, flags=re.MULTILINE)


def wheel_of(metadata, folder):
    """A wheel with nothing but metadata."""
    with zipfile.ZipFile(folder / "any.whl", "w") as file:
        file.writestr("any-1.dist-info/METADATA", metadata)
    return folder / "any.whl"


def test_the_oldest_versions_are_the_lower_bounds(metadata, tmp_path):
    pins = try_wheel.lower_bounds(wheel_of(metadata, tmp_path))
    assert pins[:2] == ["tensorflow==2.16.2", "keras==3.6.0"]
    # Each requirement has one; what only developers need is left out.
    told = [Requirement(text) for text in email.message_from_string(metadata).get_all("Requires-Dist")]
    assert [pin.partition("==")[0] for pin in pins] == [each.name for each in told if each.marker is None]


def test_trials_are_compared_by_results_and_spikes(tmp_path):
    facts = {**dict.fromkeys(try_wheel.RESULTS, 0.5), "spikes": 10, "digest of spikes": "ab", "keras": "3.6.0"}
    trials = [try_wheel.Trial(name, "python", tmp_path, [], dict(facts)) for name in ("oldest", "newest")]
    trials[1].facts["keras"] = "3.15.1"
    assert try_wheel.differences(*trials) == []
    assert "| keras | 3.6.0 | 3.15.1 |" in try_wheel.table(trials)
    trials[1].facts |= {"accuracy": 0.25, "digest of spikes": "cd"}
    expected = ["accuracy: 0.5 (oldest), 0.25 (newest)", "digest of spikes: ab (oldest), cd (newest)"]
    assert try_wheel.differences(*trials) == expected


def test_a_command_that_fails_ends_the_trial(tmp_path):
    trial = try_wheel.Trial("oldest", sys.executable, tmp_path, [])
    (tmp_path / "work").mkdir()
    with pytest.raises(SystemExit, match=r"oldest: `.*` returned 3:\nsaid so"):
        trial._run(sys.executable, "-c", "print('said so'); raise SystemExit(3)")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has manylinux tags")
def test_a_release_has_a_wheel_that_an_index_accepts(tmp_path):
    """Downloads what builds it."""
    for name in ("build", "auditwheel", "twine"):
        pytest.importorskip(name)
    done = subprocess.run(
        [sys.executable, ROOT / "release" / "build_wheel.py", "--output", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith(f"-py3-none-manylinux_2_27_{platform.machine()}.whl")
    assert len(list(tmp_path.glob("*.tar.gz"))) == 1
    with zipfile.ZipFile(wheel) as file:
        assert "snn_toolbox_tf/ops/libsnn_toolbox_tf.so" in file.namelist()
