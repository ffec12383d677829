"""The README's code runs, in order, as a reader would type it."""

import os
import pathlib
import re
import subprocess
import sys

import keras
import numpy as np

from snn_toolbox_tf.cli import main

README = pathlib.Path(__file__).parents[1] / "README.md"


def test_readme_code_runs_as_it_stands(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    first, script = blocks[0], "\n".join(blocks[1:])
    assert "convert_keras(model, calibration_data=x_cal)" in first
    # The first block shows the idea with the reader's own model and data; give it some.
    own = "model.save('lenet.keras'); x_cal = x\n" + first
    done = subprocess.run(
        [sys.executable, "-c", script + own],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(README.parent)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "serving_folder" / "saved_model.pb").exists()


def test_readme_commands_run_as_they_stand(tmp_path, monkeypatch, capsys):
    text = README.read_text()
    (config,) = re.findall(r"```ini\n(.*?)```", text, flags=re.DOTALL)
    blocks = re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL)
    commands = [
        line for block in blocks for line in re.findall(r"^\$ snn-toolbox-tf (.*?)(?:  +#.*)?$", block, flags=re.M)
    ]
    assert len(commands) >= 7
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3, "softmax")])
    generator = np.random.default_rng(0)
    model.save(tmp_path / "net.keras")
    for name in ("x_test", "x_norm"):
        np.savez(tmp_path / f"{name}.npz", generator.random((120, 6), dtype=np.float32))
    np.savez(tmp_path / "y_test.npz", generator.integers(0, 3, 120))
    (tmp_path / "config.ini").write_text(config)
    monkeypatch.chdir(tmp_path)
    for command in commands:
        try:
            status = main(command.split())
        except SystemExit as done:
            status = done.code
        assert status == 0, f"{command}: {capsys.readouterr().err}"
    for name in ("net_snn", "thresholds"):
        assert (tmp_path / name / "report.html").is_file()
