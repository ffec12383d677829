"""`template`: the configuration templates, also where only the package is installed."""

import pathlib

import snn_toolbox_tf
from snn_toolbox_tf.cli.screen import Screen
from snn_toolbox_tf.config import ConfigurationError
from snn_toolbox_tf.foundation.argument_checks import did_you_mean

_PACKAGE = pathlib.Path(snn_toolbox_tf.__file__).parent
#: A wheel has them inside the package, see setup.py; in a source tree they are beside it.
FOLDERS = (_PACKAGE / "config_templates", _PACKAGE.parent / "config_templates")


def show_template(wanted: str | None, screen: Screen) -> int:
    """Prints a template; if none is named, what each of them is for."""
    texts = templates()
    if wanted is None:
        width = max(map(len, texts))
        lines = [f"{name:<{width}}  {_first_sentence(text)}" for name, text in texts.items()]
        screen.result("\n".join(lines), {"templates": list(texts)})
        return 0
    name = wanted.removesuffix(".ini")
    if name not in texts:
        raise ConfigurationError(
            f"There is no template '{wanted}'. Expected one of: {', '.join(texts)}.{did_you_mean(name, texts)}"
        )
    screen.result(texts[name].rstrip("\n"), {"name": name, "text": texts[name]})
    return 0


def templates() -> dict[str, str]:
    """Returns the text of every template by name.

    Raises:
        FileNotFoundError: If the installation has none.
    """
    for folder in FOLDERS:
        paths = sorted(folder.glob("*.ini"))
        if paths:
            return {path.stem: path.read_text(encoding="utf-8") for path in paths}
    raise FileNotFoundError(
        f"There are no configuration templates in '{FOLDERS[0]}'. Install the package again: "
        "`pip install --force-reinstall snn_toolbox_tf`."
    )


def _first_sentence(text: str) -> str:
    """Returns the first sentence of a template's comment."""
    comment = " ".join(line.removeprefix("#").strip() for line in text.split("\n\n")[0].splitlines())
    return f"{comment.split('. ')[0].rstrip('.')}."
