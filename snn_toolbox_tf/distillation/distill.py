"""The whole way: samples are divided, a student is made, trained, and written back."""

from snn_toolbox_tf.calibration.reservoir import Reservoir
from snn_toolbox_tf.distillation.settings import GradientCalibration, check_samples
from snn_toolbox_tf.distillation.student import Student
from snn_toolbox_tf.distillation.teacher import Teacher
from snn_toolbox_tf.distillation.training import Outcome, Training
from snn_toolbox_tf.distillation.write import write_student
from snn_toolbox_tf.foundation.telling import Tell, tell_nobody
from snn_toolbox_tf.graph import Graph
from snn_toolbox_tf.simulation.inputs import InputOptions

#: This share of the samples is held out, and so many at most.
HELD_OUT, MOST_HELD_OUT = 0.25, 512


def distill(
    source: Graph,
    graph: Graph,
    reservoir: Reservoir,
    settings: GradientCalibration,
    *,
    timesteps: int,
    input_options: InputOptions,
    tell: Tell = tell_nobody,
) -> Outcome:
    """Trains a calibrated network to do what its source does in T timesteps.

    Args:
        source: The source's graph.
        graph: The calibrated graph, in units of the source; changed in place.
        reservoir: Calibration samples.
        settings: How it is trained.
        timesteps: T.
        input_options: How input is encoded.
        tell: Is told of every pass.

    Raises:
        ValueError: If there are too few samples.
    """
    check_samples(len(reservoir))
    samples = reservoir.samples(settings.samples)
    count = len(next(iter(samples.values())))
    # The last ones: calibration without gradients has looked at the first.
    held_out = min(int(count * HELD_OUT), MOST_HELD_OUT)
    student = Student(graph, timesteps, input_options)
    training = Training(
        student,
        Teacher(source),
        settings,
        {name: array[: count - held_out] for name, array in samples.items()},
        {name: array[count - held_out :] for name, array in samples.items()},
        seed=input_options.seed,
        tell=tell,
    )
    outcome = training.run()
    write_student(graph, student, weights=settings.train_weights)
    return outcome
