"""What outputs stand for, and how right they are: classes, real numbers, a class per position, boxes."""

from snn_toolbox_tf.graph import TASKS
from snn_toolbox_tf.tasks.inference import output_names, state_tasks
from snn_toolbox_tf.tasks.kinds import AUTO, Task, decide, known_tasks, task_of
from snn_toolbox_tf.tasks.measures import by_unit, check_and_measure, measures, sums_of
from snn_toolbox_tf.tasks.targets import checked_targets

__all__ = [
    "AUTO",
    "TASKS",
    "Task",
    "by_unit",
    "check_and_measure",
    "checked_targets",
    "decide",
    "known_tasks",
    "measures",
    "output_names",
    "state_tasks",
    "sums_of",
    "task_of",
]
