"""What a distribution holds: everything that the installed package reads, and what a build needs."""

import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version

import pytest
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
    for name in ("snn_toolbox_tf", "config_templates"):
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
    expected |= {"py.typed", *(f"config_templates/{name}" for name in TEMPLATES)}
    assert {name for name in files if not name.endswith(".py")} == expected
    assert len(TEMPLATES) >= 4


def test_a_built_package_prints_its_templates(package, tmp_path):
    def template(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "snn_toolbox_tf", "template", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert [f"{line.split()[0]}.ini" for line in template().splitlines()] == sorted(TEMPLATES)
    for name, text in TEMPLATES.items():
        assert template(name.removesuffix(".ini")) == text


def test_a_source_distribution_can_be_built(source, tmp_path):
    setup(source, "sdist", "--dist-dir", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    native = (path for path in (ROOT / "snn_toolbox_tf" / "ops").rglob("*") if path.suffix in (".cc", ".h"))
    needed = {str(path.relative_to(ROOT)) for path in native} | {f"config_templates/{name}" for name in TEMPLATES}
    assert needed | {"setup.py", "pyproject.toml", "LICENSE", "README.md", "snn_toolbox_tf/py.typed"} <= held


def test_the_versions_that_this_runs_with_are_inside_the_bounds():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(version(requirement.name)), text
    python = ".".join(map(str, sys.version_info[:2]))
    assert f"Programming Language :: Python :: {python}" in project["classifiers"]
