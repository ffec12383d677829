"""Work spread over processes and machines: a function from batch to batch, and what runs one on many batches."""

from snn_toolbox_tf.distributed.batch_predictor import BatchPredictor
from snn_toolbox_tf.distributed.executors import Arrays, BatchFunction, Executor, LocalExecutor, open_executor
from snn_toolbox_tf.distributed.sent_model import SentModel, check_can_be_sent

__all__ = [
    "Arrays",
    "BatchFunction",
    "BatchPredictor",
    "Executor",
    "LocalExecutor",
    "SentModel",
    "check_can_be_sent",
    "open_executor",
]
