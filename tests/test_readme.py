"""The README's code runs, in order, as a reader would type it."""

import os
import pathlib
import re
import subprocess
import sys

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
