"""Who wrote a model file, and the errors that name it."""

import dataclasses
import pathlib
import re

BACKENDS = {"tensorflow": "TensorFlow", "theano": "Theano"}


class ModelFileError(ValueError):
    """A file cannot be read as a model; the message names the file, who wrote it, the layer, and what to do."""


class RefusedLayerError(ValueError):
    """A layer has no counterpart in Keras 3; whoever knows its name and file turns this into a ModelFileError.

    Args:
        reason: Why not.
        remedy: What to do.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


@dataclasses.dataclass(frozen=True)
class Origin:
    """Who wrote a model file.

    Attributes:
        path: The file.
        version: Version of Keras, such as "2.0.4"; "" if the file does not say, as the first releases of Keras 1 did not.
        backend: Name of the backend, as Keras writes it.
    """

    path: pathlib.Path
    version: str
    backend: str

    @property
    def major(self) -> int:
        """The first number of the version."""
        number = re.match(r"\d+", self.version)
        return max(int(number.group()), 1) if number else 1

    @property
    def writer(self) -> str:
        """The writer as part of a sentence: "Keras 2.0.4 with Theano"."""
        return f"Keras {self.version or '1'} with {BACKENDS.get(self.backend, self.backend)}"

    def refuse(self, name: str, class_name: str, refused: RefusedLayerError) -> ModelFileError:
        """Returns the error for a layer that cannot be rebuilt."""
        return ModelFileError(
            f"'{self.path}' was written by {self.writer}, and its layer '{name}' ({class_name}) cannot be rebuilt in Keras 3"
            f": {refused.reason}. {refused.remedy}"
        )


def in_one_line(reason: object, most: int = 500) -> str:
    """Returns what an error says as the middle of a sentence: on one line, of so many characters at the most."""
    return " ".join(str(reason).split())[:most].rstrip(".")


def unreadable(path: pathlib.Path, reason: str) -> ModelFileError:
    """Returns the error for a file that is damaged, or no model."""
    return ModelFileError(
        f"cannot read '{path}' ({path.stat().st_size:,} bytes) as a model: {in_one_line(reason)}. "
        "Expected a model that `model.save` wrote as .keras or .h5."
    )
