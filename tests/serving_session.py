"""The exported folder as a model server runs it: through TensorFlow's C API, by a small program without Python."""

import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SOURCE = pathlib.Path(__file__).parent / "native" / "serve_saved_model.c"


def compile_server(folder):
    """Compiles the program for the TensorFlow that is installed."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or not compiler:
        pytest.skip("this needs a C compiler, on Linux")
    program, library = folder / "serve_saved_model", pathlib.Path(tf.sysconfig.get_lib())
    # Of the real one, of a gigabyte, the linker takes half a minute; only its name and those of its functions count.
    stand_in, functions = folder / "libtensorflow_cc.so.2", folder / "functions.c"
    names = sorted(set(re.findall(r"\bTF_[A-Z]\w+(?=\()", SOURCE.read_text())))
    functions.write_text("".join(f"void {name}(void) {{}}\n" for name in names))
    for command in (
        [*(compiler, "-shared", "-fPIC", f"-Wl,-soname,{stand_in.name}"), str(functions), "-o", str(stand_in)],
        [
            *(compiler, "-O1", "-Wall", "-Werror", str(SOURCE), "-o", str(program)),
            *(f"-I{tf.sysconfig.get_include()}", str(stand_in), f"-Wl,-rpath,{library}"),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return program


def serve(program, version, x, batches, *, signature="serving_default", output=None):
    """Returns the outputs of a signature with one input, by batch size."""
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    definition = saved.meta_graphs[0].signature_def[signature]
    (given,) = definition.inputs.values()
    wanted = definition.outputs[output] if output else next(iter(definition.outputs.values()))
    folder = program.parent
    np.ascontiguousarray(x, np.float32).tofile(folder / "x.bin")
    shape = ",".join(map(str, x.shape[1:]))
    command = [program, version, shape, given.name, folder / "x.bin", wanted.name, folder / "y.bin", *batches]
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, env={"TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    units = [size.size for size in wanted.tensor_shape.dim][1:]
    return {batch: np.fromfile(f"{folder / 'y.bin'}.{batch}", np.float32).reshape(-1, *units) for batch in batches}
