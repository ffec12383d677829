"""Tries a wheel as a new user would, with the oldest and with the newest versions of all that it needs.

    python release/try_wheel.py [--wheel dist/....whl] [--oldest-python python3.10] [--newest-python python3.13]

For each it makes an empty virtual environment in a temporary folder, installs the wheel there, and runs the command line
on the files of `snn-toolbox-tf example`: nothing of this repository is in reach. The oldest versions are the lower bounds
of the wheel's own requirements. Every command has to succeed, the native ops have to be used, and both environments have
to give the same accuracies, operations and spikes, of a conversion of their own and of the oldest one's network.

It downloads TensorFlow twice, and takes about ten minutes.
"""

import argparse
import dataclasses
import email
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import zipfile
from typing import Any

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROBE = pathlib.Path(__file__).with_name("probe.py")
NETWORK = "digits/digits_cnn_snn/digits_cnn_snn.keras"
COMMANDS = (
    "--version",
    "template default",
    "example",
    "check digits/digits.ini",
    "run digits/digits.ini --json",
    f"evaluate {NETWORK} --json",
    "convert digits/digits_cnn.keras --output converted.keras",
)
#: What has to be the same in both environments.
RESULTS = ("ann_accuracy", "accuracy", "agreement", "firing_rate", "synaptic_operations", "multiply_accumulates")
#: Variables that would let something of the caller's into an environment.
FOREIGN = (
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "KERAS_BACKEND",
    "SNN_TOOLBOX_TF_NATIVE",
    "TF_NUM_INTRAOP_THREADS",
)


@dataclasses.dataclass
class Trial:
    """One environment, and what came out of it.

    Attributes:
        name: Its name.
        python: The Python that it is made with.
        folder: Where it is: `venv`, and `work`, where commands run.
        pins: Requirements besides the wheel.
        facts: What the table shows, by row.
    """

    name: str
    python: str
    folder: pathlib.Path
    pins: list[str]
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def install(self, wheel: pathlib.Path) -> None:
        """Makes the environment and installs the wheel, and nothing that would have to be compiled."""
        (self.folder / "work").mkdir(parents=True)
        self._run(self.python, "-m", "venv", self.folder / "venv")
        self._run(self._program("pip"), "install", "--quiet", "--only-binary", ":all:", wheel, *self.pins)

    def try_commands(self) -> None:
        """Runs the command line."""
        outputs = {command: self._command(command) for command in COMMANDS}
        ran = json.loads(outputs["run digits/digits.ini --json"])
        evaluated = json.loads(outputs[f"evaluate {NETWORK} --json"])
        again = evaluated["outputs"][0]["accuracy"][-1]
        if again != ran["accuracy"]:
            sys.exit(f"{self.name}: `run` found accuracy {ran['accuracy']}, `evaluate` {again} with the same network.")
        self.facts |= {name: ran[name] for name in RESULTS}

    def probe(self, network: pathlib.Path) -> None:
        """Asks the installed package for versions, its ops, and the spikes of a network."""
        found = json.loads(self._run(self._program("python"), "-I", PROBE, network, self.folder / "work" / "digits"))
        if not pathlib.Path(found.pop("location")).is_relative_to(self.folder):
            sys.exit(f"{self.name}: the package that was imported is not the wheel's.")
        if found["ops"] != "native":
            sys.exit(f"{self.name}: the native ops are not used: {found['reason']}.")
        self.facts |= found

    def _command(self, arguments: str) -> str:
        start = time.perf_counter()
        output = self._run(self._program("snn-toolbox-tf"), *shlex.split(arguments))
        self.facts[f"seconds of {arguments.split()[0]}"] = f"{time.perf_counter() - start:.1f}"
        return output

    def _program(self, name: str) -> pathlib.Path:
        return self.folder / "venv" / "bin" / name

    def _run(self, *command: object) -> str:
        """Returns what a command prints, or ends the program with what it said."""
        words = list(map(str, command))
        environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        done = subprocess.run(
            words, cwd=self.folder / "work", env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{self.name}: `{shlex.join(words)}` returned {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout


def lower_bounds(wheel: pathlib.Path) -> list[str]:
    """Returns the requirements of a wheel, each pinned to the oldest version that it allows."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(file.read(name))
    requirements = map(Requirement, metadata.get_all("Requires-Dist", []))
    return [
        f"{requirement.name}=={specifier.version}"
        for requirement in requirements
        if requirement.marker is None
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]


def differences(oldest: Trial, newest: Trial) -> list[str]:
    """Returns what is not the same in both environments."""
    return [
        f"{name}: {oldest.facts[name]} ({oldest.name}), {newest.facts[name]} ({newest.name})"
        for name in (*RESULTS, "spikes", "digest of spikes")
        if oldest.facts[name] != newest.facts[name]
    ]


def table(trials: list[Trial]) -> str:
    """Returns what came out, as a Markdown table; times are last."""
    names = sorted(trials[0].facts, key=lambda name: name.startswith("seconds"))
    lines = [["", *(trial.name for trial in trials)], ["---"] * (len(trials) + 1)]
    lines += [[name, *(str(trial.facts[name]) for trial in trials)] for name in names]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def find_wheel() -> pathlib.Path:
    """Returns the wheel in dist/."""
    found = sorted((ROOT / "dist").glob("*manylinux*.whl"))
    if len(found) != 1:
        sys.exit(f"Expected one wheel in dist/; name it with --wheel. Found: {[path.name for path in found]}.")
    return found[0]


def main() -> None:
    """Tries both environments, prints the table, and fails if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=pathlib.Path, help="the wheel; the one in dist/ if left out")
    parser.add_argument("--oldest-python", default=sys.executable, help="for the oldest versions: 3.10 or 3.11")
    parser.add_argument("--newest-python", default=sys.executable, help="for the newest versions: 3.10 to 3.13")
    arguments = parser.parse_args()
    wheel = (arguments.wheel or find_wheel()).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name).resolve()
        trials = [
            Trial("oldest", arguments.oldest_python, folder / "oldest", lower_bounds(wheel)),
            Trial("newest", arguments.newest_python, folder / "newest", []),
        ]
        for trial in trials:
            print(f"{trial.name}: installing {wheel.name} {' '.join(trial.pins)}", flush=True)
            trial.install(wheel)
            print(f"{trial.name}: running {len(COMMANDS)} commands", flush=True)
            # Older versions of Keras do not read what newer ones write, so both look at the oldest one's network.
            trial.try_commands()
            trial.probe(trials[0].folder / "work" / NETWORK)
    print(f"\n{table(trials)}\n")
    found = differences(*trials)
    if found:
        sys.exit("The results differ:\n" + "\n".join(found))
    print("All commands succeeded, and the results are equal.")


if __name__ == "__main__":
    main()
