"""What a run tells while it runs."""


class Progress:
    """Is told how a run proceeds, and shows nothing; the command line shows it."""

    def stage(self, name: str, total: int | None = None, done: int = 0) -> None:
        """A stage begins.

        Args:
            name: What is done now.
            total: Number of samples, if they are counted.
            done: How many of them an earlier, interrupted run has done.
        """

    def advance(self, samples: int) -> None:
        """Some more samples of the present stage are done."""

    def tell(self, text: str) -> None:
        """Something has come out that is worth a line of its own, or some lines."""
