"""How closely spiking networks follow their sources: architectures people use, with seeded random weights.

    python benchmarks/fidelity.py [--models ResNet50 unet ...] [--samples 16] [--output fidelity.json]

Batch norms have the statistics of 64 samples of seeded noise; the networks are compared on the first 16. Thresholds are the
largest activations of the compared samples, per channel, so that nothing is clipped, except in the columns of the default.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np
from architectures import APPLICATIONS, OWN, alive

import snn_toolbox_tf as snn
from snn_toolbox_tf.analysis.closed_form import ClosedForm
from snn_toolbox_tf.foundation.versions import versions
from snn_toolbox_tf.graph import Population
from snn_toolbox_tf.report.text import number

TIMESTEPS = [16, 64, 256, 512]
LONG = 4096
COMPARED = 64


def relative_error(outputs, expected) -> float:
    """||outputs - expected|| / ||expected||, over all outputs together."""
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True)
    squares = [(np.square(ours - theirs).sum(), np.square(theirs).sum()) for ours, theirs in pairs]
    return float(np.sqrt(sum(error for error, _ in squares) / sum(norm for _, norm in squares)))


def amplification(model: keras.Model, x, expected) -> float:
    """How much larger the relative change of the output is than one of the input by 1e-4, of random signs."""
    generator = np.random.default_rng(2)

    def changed(array):
        return array * (1.0 + 1e-4 * generator.choice([-1.0, 1.0], array.shape)).astype(np.float32)

    outputs = model.predict(keras.tree.map_structure(changed, x), verbose=0)
    return relative_error(outputs, expected) / 1e-4


def measure(name: str, samples: int) -> dict:
    """Returns everything that is measured of one architecture."""
    model, x = alive(name)
    x = keras.tree.map_structure(lambda array: array[:samples], x)
    expected = model.predict(x, verbose=0)
    start = time.perf_counter()
    model_snn = snn.convert_keras(model, x, percentile=100)
    converted = time.perf_counter()
    result = model_snn.simulate(x, outputs=TIMESTEPS, timesteps=TIMESTEPS[-1])
    simulated = time.perf_counter()
    closed_form = ClosedForm(model_snn)
    graph = model_snn.network.graph
    default = snn.compare(model, snn.convert_keras(model, x, percentile=99.9), x, COMPARED)
    return {
        "model": name,
        "nodes": len(list(graph)),
        "populations": len(graph.of_type(Population)),
        "neurons": int(sum(np.prod(node.shape) for node in graph.of_type(Population))),
        "amplification": amplification(model, x, expected),
        "error": {
            timesteps: relative_error([output[place] for output in keras.tree.flatten(result.outputs)], expected)
            for place, timesteps in enumerate(TIMESTEPS)
        },
        "closed_form_error": {
            timesteps: relative_error(closed_form(x, timesteps)[1], expected) for timesteps in (TIMESTEPS[-1], LONG)
        },
        "default_error": default.output_error,
        "default_clipping": default.output_clipping,
        "pass_error": model_snn.conversion.pass_error,
        "grid_error": model_snn.conversion.grid_error,
        "conversion_seconds": converted - start,
        "simulation_seconds": simulated - converted,
        "compare": snn.compare(model, model_snn, x, COMPARED).as_dict(),
    }


def ratio_per_doubling(row: dict) -> float:
    """Geometric mean of the error's ratio from one T to the next double, over 64 -> 512."""
    return (row["error"][512] / row["error"][64]) ** (1 / 3)


def cells(row: dict) -> list[str]:
    """Returns a row of the table."""
    error, closed = row["error"], row["closed_form_error"]
    worst = max(row["compare"]["populations"], key=lambda population: np.nan_to_num(population["added"], nan=-1.0))
    return [
        row["model"],
        f"{row['nodes']:,}",
        str(row["populations"]),
        number(row["amplification"], 2),
        *(number(error[timesteps], 2) for timesteps in TIMESTEPS),
        f"{ratio_per_doubling(row):.2f}",
        *(number(closed[timesteps], 2) for timesteps in (TIMESTEPS[-1], LONG)),
        " / ".join(number(value, 2) for value in row["default_error"].values()),
        " / ".join(number(value, 2) for value in row["default_clipping"].values()),
        f"{row['simulation_seconds']:.1f}",
        worst["name"],
    ]


COLUMNS = [
    "network", "nodes", "populations", "amplification", *(f"error at T = {timesteps}" for timesteps in TIMESTEPS),
    "ratio per doubling", f"closed form at {TIMESTEPS[-1]}", f"closed form at {LONG}", f"default at {COMPARED}",
    "of which clipping", f"seconds for T = {TIMESTEPS[-1]}", "adds most",
]  # fmt: skip


def main() -> None:
    """Prints a Markdown table, and writes a JSON record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*APPLICATIONS, *OWN]
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--output", help="JSON file for the record")
    arguments = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    rows = []
    for name in arguments.models:
        rows.append(measure(name, arguments.samples))
        print(f"| {' | '.join(cells(rows[-1]))} |", flush=True)
        # Each network's tensors and functions would stay otherwise.
        keras.backend.clear_session()
        if arguments.output:
            record = {"settings": vars(arguments), "versions": versions(), "results": rows}
            pathlib.Path(arguments.output).write_text(json.dumps(record, indent=2) + "\n")
    print(", ".join(f"{key} {value}" for key, value in versions().items()))


if __name__ == "__main__":
    main()
