"""Settings: typed values, INI files, snn_toolbox's vocabulary."""

import dataclasses
import pathlib
import re

import pytest

import snn_toolbox_tf as snn
from snn_toolbox_tf.config import SECTIONS, documented_defaults, fields_of, read_value, write_settings
from snn_toolbox_tf.config.foreign import FOREIGN_KEYS
from snn_toolbox_tf.config.sections import SECTION_OF
from snn_toolbox_tf.conversion.options import ConversionOptions
from snn_toolbox_tf.experiment.options import conversion_options

TEMPLATES = pathlib.Path(__file__).parents[1] / "config_templates"

#: What snn_toolbox 0.6 knows, by section, with its defaults: what its users' files may hold.
SNN_TOOLBOX = {
    "paths": {
        "path_wd": "", "dataset_path": "", "log_dir_of_current_run": "", "runlabel": "test", "filename_ann": "ann",
        "filename_parsed_model": "ann_parsed", "filename_snn": "ann_INI", "filename_clamp_indices": "",
        "filepath_custom_objects": "", "class_idx_path": "",
    },
    "input": {
        "model_lib": "keras", "dataset_format": "npz", "datagen_kwargs": "{}", "dataflow_kwargs": "{}",
        "poisson_input": "False", "input_rate": "1000", "num_poisson_events_per_sample": "-1",
        "num_dvs_events_per_sample": "2000", "eventframe_width": "10", "label_dict": "{}", "chip_size": "None",
        "frame_gen_method": "rectified_polarity_channels", "is_x_first": "True", "is_x_flipped": "False",
        "is_y_flipped": "False", "maxpool_subsampling": "True", "do_clip_three_sigma": "True", "keras_dataset": "",
    },
    "tools": {
        "evaluate_ann": "True", "parse": "True", "normalize": "True", "convert": "True", "simulate": "True",
        "serialise_only": "False",
    },
    "normalization": {
        "percentile": "99.9", "normalization_schedule": "False", "online_normalization": "False",
        "diff_to_max_rate": "200", "diff_to_min_rate": "100", "timestep_fraction": "10", "num_samples": "",
    },
    "conversion": {
        "softmax_to_relu": "False", "maxpool_type": "fir_max", "max2avg_pool": "False",
        "spike_code": "temporal_mean_rate", "num_bits": "32", "append_softmax": "False",
    },
    "simulation": {
        "simulator": "INI", "duration": "200", "dt": "1", "batch_size": "1", "num_to_test": "1",
        "sample_idxs_to_test": "[]", "reset_between_nth_sample": "1", "top_k": "1", "keras_backend": "tensorflow",
        "early_stopping": "False",
    },
    "cell": {
        "v_thresh": "1", "tau_refrac": "0", "v_reset": "0", "v_rest": "0", "cm": "1", "tau_m": "1000",
        "tau_syn_E": "0.01", "tau_syn_I": "0.01", "delay": "0", "binarize_weights": "False",
        "quantize_weights": "False", "scaling_factor": "10000000", "payloads": "False",
        "reset": "Reset by subtraction", "leak": "False", "bias_relaxation": "False",
    },
    "parameter_sweep": {"param_values": "[]", "param_name": "v_thresh", "param_logscale": "False"},
    "output": {
        "log_vars": "{}", "plot_vars": "{}", "verbose": "1", "overwrite": "True", "use_simple_labels": "True",
        "plotproperties": "{}",
    },
}  # fmt: skip


def write(folder, text, name="config.ini"):
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"export_format": "nir", "closed_form": True},
            r"closed_form = True: this says what a model server gets.*= nir",
        ),
        ({"export_format": "tflite", "export_timesteps": [4, 8]}, r"a tflite file runs one number of timesteps.*4, 8"),
        (
            {"export_path": "here"},
            r"export_path = here: this says how a network is exported, and nothing says that it is",
        ),
        ({"export_format": "keras", "export_timesteps": [4]}, r"a keras file has no number of timesteps of its own"),
        (
            {"export_format": "nir", "param_values": [1, 2]},
            r"one network is exported, and a parameter sweep makes several",
        ),
    ],
)
def test_exports_that_contradict_themselves(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_default_ini_is_the_defaults_in_code():
    path = TEMPLATES / "default.ini"
    assert path.read_text() == documented_defaults()
    read = snn.read_settings(path)
    assert read.replace(path_wd="") == snn.Settings()
    keys = re.findall(r"^(\w+) =", path.read_text(), flags=re.M)
    assert sorted(keys) == sorted(SECTION_OF)


def test_keys_are_unique_over_all_sections():
    assert sum(len(fields_of(section)) for section in SECTIONS) == len(SECTION_OF)
    for section, keys in FOREIGN_KEYS.items():
        assert not set(keys) & set(SECTION_OF), section


def test_every_default_of_snn_toolbox_is_accepted_in_silence(tmp_path):
    text = "".join(
        f"[{section}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        for section, keys in SNN_TOOLBOX.items()
    )
    settings = snn.read_settings(write(tmp_path, text))
    assert settings.notes == ()
    assert settings.timesteps == 200
    assert settings.cell.reset == "subtract"
    assert settings.output.plot_vars == ()


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, keys in SNN_TOOLBOX.items() for k in keys])
def test_every_key_of_snn_toolbox_is_known(section, key):
    assert key in fields_of(section) if key in SECTION_OF else key in FOREIGN_KEYS[section]


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_written_is_read_again(section, tmp_path):
    changed = {
        "duration": 12.5, "dt": 0.5, "num_to_test": 2, "sample_idxs_to_test": (4, 2), "plot_vars": ("error_t", "v_mem"),
        "reset": "zero", "percentile": 99.95, "param_values": ("1", "2.5"), "log_vars": ("all",), "poisson_input": True,
        "runlabel": "a label", "neurons_to_plot": ("conv/3",), "block_length": 4, "num_samples": 3,
    }  # fmt: skip
    settings = snn.Settings().replace(**changed)
    again = snn.read_settings(write(tmp_path, write_settings(settings)))
    assert dict(again.replace(path_wd="").items(section)) == dict(settings.items(section))


def test_who_says_nothing_gets_the_same_network_everywhere():
    """Python's `convert_keras`, the command line and a file without settings."""
    assert conversion_options(snn.Settings()) == ConversionOptions()
    assert snn.Settings().timesteps == 32


def test_names_of_python_are_understood(tmp_path):
    text = "[simulation]\ntimesteps = 16\ndt = 0.5\n[cell]\nthreshold_scale = 2\n[conversion]\nmax_pooling = fir_max\n"
    settings = snn.read_settings(write(tmp_path, text))
    assert (settings.timesteps, settings.simulation.duration) == (16, 8.0)
    assert settings.cell.v_thresh == 2
    assert settings.conversion.maxpool_type == "winner_take_all"
    again = snn.Settings().replace(dt=0.5, timesteps=16, threshold_scale=2, max_pooling="winner_take_all")
    assert again == dataclasses.replace(settings.replace(path_wd=""), notes=())
    assert snn.Settings().replace(dt=0.1).replace(timesteps=3).timesteps == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"timesteps": 16, "duration": 16}, r"\[simulation\] duration and timesteps are the same. Give one of them"),
        ({"v_thresh": 1, "threshold_scale": 1}, r"\[cell\] v_thresh and threshold_scale are the same"),
        ({"timesteps": 2.5}, r"\[simulation\] timesteps: Expected an integer of 1 or more, or auto. Received: 2.5"),
        ({"timesteps": 4, "dt": -1}, r"\[simulation\] dt: Expected a positive number. Received: -1"),
        ({"max_pooling": "mean"}, r"\[conversion\] maxpool_type: Expected one of"),
        ({"timestep": 4}, r"Unknown setting 'timestep'. Did you mean 'timesteps'\?"),
    ],
)
def test_names_of_python_are_checked(changes, message):
    with pytest.raises(snn.ConfigurationError, match=message):
        snn.Settings().replace(**changes)


def test_names_of_python_belong_into_their_sections(tmp_path):
    with pytest.raises(snn.ConfigurationError, match=r"timesteps: this key belongs into section \[simulation\]"):
        snn.read_settings(write(tmp_path, "[cell]\ntimesteps = 3\n"))
    with pytest.raises(snn.ConfigurationError, match=r"timesteps: .*of 1 or more, or auto. Received: 'long'"):
        snn.read_settings(write(tmp_path, "[simulation]\ntimesteps = long\n"))


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("poisson_input", "yes", True),
        ("duration", "1e2", 100.0),
        ("num_to_test", "None", None),
        ("num_to_test", "", None),
        ("sample_idxs_to_test", "[3, 1, 2]", (3, 1, 2)),
        ("sample_idxs_to_test", "3", (3,)),
        ("plot_vars", "{'v_mem', 'error_t'}", ("error_t", "v_mem")),
        ("plot_vars", "['v_mem',]", ("v_mem",)),
        ("plot_vars", "v_mem, error_t", ("error_t", "v_mem")),
        ("plot_vars", "{}", ()),
        ("plot_vars", "set()", ()),
        ("reset", "Reset to zero", "zero"),
        ("reset", "Reset by subtraction", "subtract"),
        ("param_values", "[0.5, 1, 2]", ("0.5", "1", "2")),
        ("param_values", "8:32:8", ("8", "16", "24", "32")),
        ("param_values", "0.1:0.5:0.1", ("0.1", "0.2", "0.3", "0.4", "0.5")),
        ("param_values", "3:1:-1", ("3", "2", "1")),
        ("param_values", "99:99.9:0.4", ("99", "99.4", "99.8")),
    ],
)
def test_values_are_read_by_type(key, text, value):
    assert read_value(key, text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("filename_ann = x", "no valid INI file.*line"),
        ("[paths]\nfilename_ann\n", "no valid INI file.*line"),
        ("[cell]\nv0 = 0\nv0 = 1\n", "no valid INI file.*v0.*already exists"),
        ("[cell]\nv0 = 0\n[cell]\n", "no valid INI file.*cell.*already exists"),
        ("[DEFAULT]\nv0 = 0\n[cell]\n", r"\[DEFAULT\] is not supported"),
        ("[simulations]\nduration = 3\n", r"Unknown section \[simulations\]. Did you mean 'simulation'\?"),
        ("[simulation]\nduratoin = 3\n", r"\[simulation\] duratoin: unknown key. Did you mean 'duration'\?"),
        ("[simulation]\nDuration = 3\n", r"\[simulation\] Duration: unknown key. Did you mean 'duration'\?"),
        ("[simulation]\nreset = zero\n", r"reset: this key belongs into section \[cell\]"),
        ("[simulation]\nv_rest = 0\n", r"v_rest: this key belongs into section \[cell\]"),
        ("[simulation]\nduration = long\n", r"\[simulation\] duration: .* number, or auto. Received: 'long'"),
        ("[simulation]\nduration = nan\n", r"duration: Expected a positive number, or auto. Received: nan"),
        (
            "[simulation]\nduration = __import__('os')\n",
            r"duration: .* number, or auto. Received: .__import__",
        ),
        ("[simulation]\nduration = 3\ndt = 2\n", r"duration must be a whole number of timesteps.*duration=3, dt=2"),
        ("[simulation]\nbatch_size = 2.5\n", r"batch_size: Expected an integer of 1 or more. Received: '2.5'"),
        ("[simulation]\nsample_idxs_to_test = [1, 1]\n", r"sample_idxs_to_test: .*each of them once"),
        ("[simulation]\nsample_idxs_to_test = range(3)\n", r"sample_idxs_to_test: Expected a list of sample indices"),
        ("[simulation]\nsample_idxs_to_test = [1, 2\n", "with a closing bracket"),
        ("[output]\nplot_vars = {'v_mem', 'error_t}\n", "with matching quotes"),
        ("[output]\nplot_vars = {'vmem'}\n", r"plot_vars: Expected plots.*Received: 'vmem'. Did you mean 'v_mem'\?"),
        ("[output]\nlog_vars = input_b_l_t\n", r"log_vars = input_b_l_t is not supported: the input is in x_test.npz"),
        ("[cell]\nreset = Reset by modulo\n", r"reset = Reset by modulo is not supported: use 'Reset by subtraction'"),
        ("[cell]\nreset = subtraction\n", r"reset: Expected one of 'Reset by subtraction'.*Did you mean 'subtract'"),
        ("[cell]\nv0 = 2\n", r"v0: Expected a number in \[-1, 1\]"),
        ("[tools]\nconvert = maybe\n", r"convert: Expected True or False. Received: 'maybe'"),
        ("[normalization]\npercentile = 0\n", r"percentile: Expected a number in \(0, 100\]"),
        ("[normalization]\nonline_normalization = True\n", "online_normalization = True is not supported: thresholds"),
        ("[conversion]\nspike_code = ttfs\n", r"spike_code = ttfs is not supported: use latency"),
        ("[simulation]\nsimulator = brian2\n", r"simulator = brian2 is not supported: .*export_format = nir"),
        ("[loihi]\nreset_mode = soft\n", r"\[loihi\]: it belongs to another simulator.*export_format = nir"),
        ("[input]\ndataset_format = jpg\n", "dataset_format = jpg is not supported: data is read from npz files"),
        ("[input]\npoisson_input = True\nframe_input = True\n", "exclude each other"),
        ("[simulation]\nschedule = layer_synchronous\n[cell]\nreset = zero\n", "layer_synchronous needs"),
        ("[parameter_sweep]\nparam_values = 1:2:-1\n", "leads from its start to its stop"),
        (
            "[parameter_sweep]\nparam_values = np.linspace(0, 1, 5)\n",
            r"Expected a list of values.*Received: 'np.linspace",
        ),
        ("[parameter_sweep]\nparam_values = 0:1:1e-9\n", "10,000 values at most"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    with pytest.raises(snn.ConfigurationError, match=f"(?s){message}"):
        snn.read_settings(write(tmp_path, text))


def test_all_problems_of_a_file_are_in_one_error(tmp_path):
    path = write(tmp_path, "[cell]\nv0 = x\n[simulation]\ndt = 0\nunknown = 1\n[nowhere]\n")
    with pytest.raises(snn.ConfigurationError) as error:
        snn.read_settings(path)
    assert [line.split(":")[0] for line in str(error.value).splitlines()[1:]] == [
        "  - [cell] v0",
        "  - [simulation] dt",
        "  - [simulation] unknown",
        "  - Unknown section [nowhere].",
    ]


def test_files_that_are_no_text_or_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there: no configuration file"):
        snn.read_settings(tmp_path / "none.ini")
    with pytest.raises(FileNotFoundError, match="is a folder, no configuration file"):
        snn.read_settings(tmp_path)
    (tmp_path / "bytes.ini").write_bytes(b"\xff\xfe\x00[paths]")
    with pytest.raises(snn.ConfigurationError, match="no text file in UTF-8"):
        snn.read_settings(tmp_path / "bytes.ini")


def test_options_that_change_nothing_are_noted(tmp_path):
    settings = snn.read_settings(write(tmp_path, "[conversion]\nsoftmax_to_relu = True\n[tools]\nparse = False\n"))
    assert len(settings.notes) == 2
    assert "softmax_to_relu = True has no effect: softmax is applied to the decoded output" in settings.notes[0]


def test_paths_start_at_the_file(tmp_path):
    path = write(tmp_path, "[paths]\npath_wd = models\ndataset_path = /data/x\nfilename_ann = net\n")
    paths = snn.read_settings(path).paths
    assert paths.path_wd == str(tmp_path / "models")
    assert paths.dataset_path == "/data/x"
    assert snn.read_settings(write(tmp_path, "[paths]\nfilename_ann = net\n")).paths.path_wd == str(tmp_path)


def test_settings_in_python_are_checked_as_well():
    with pytest.raises(snn.ConfigurationError, match=r"Unknown setting 'percentil'. Did you mean 'percentile'\?"):
        snn.Settings().replace(percentil=99)
    with pytest.raises(
        snn.ConfigurationError, match=r"(?s)\[simulation\] dt: .*Received: -1.*\[cell\] v0: .*Received: 'x'"
    ):
        snn.Settings().replace(dt=-1, v0="x")
    with pytest.raises(snn.ConfigurationError, match=r"verbose: Expected an integer in \[0, 3\]. Received: True"):
        snn.Settings().replace(verbose=True)
    with pytest.raises(
        snn.ConfigurationError, match=r"plot_vars: Expected plots of the report, any of .*Received: 'v_mem'"
    ):
        snn.Settings().replace(plot_vars="v_mem")
    with pytest.raises(snn.ConfigurationError, match="text on one line"):
        snn.Settings().replace(runlabel="two\nlines")
