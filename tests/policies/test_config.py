"""One strict configuration: presets, a file, single overrides."""

import copy
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkact.cli_train import Request, to_toml
from thinkact.policies.advantages import ESTIMATORS
from thinkact.policies.config import PRESETS, ConfigError, TrainConfig, make_config


def leaves(model=TrainConfig, prefix=""):
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


LEAVES = sorted(leaves())
SECTIONS = ["", *sorted({leaf.rpartition(".")[0] for leaf in LEAVES} - {""})]


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_come_back_from_json(preset):
    config = make_config(preset)
    assert config.preset == preset
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(st.sampled_from(SECTIONS), st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True), st.sampled_from(list(PRESETS)))
def test_an_unknown_key_fails_with_the_names_of_the_known_ones(section, name, preset):
    known = sorted(
        {leaf[len(section) + 1 if section else 0 :].partition(".")[0] for leaf in LEAVES if leaf.startswith(section)}
    )
    if name in known or name == "":
        return
    key = f"{section}.{name}" if section else name
    with pytest.raises(ConfigError) as caught:
        make_config(preset, overrides={key: 1})
    assert f"unknown key {key!r}" in str(caught.value)
    assert all(other in str(caught.value) for other in known)


#: What takes many kinds of values.
FREE = ("env.kwargs", "rl.estimator_options")


@given(st.sampled_from([leaf for leaf in LEAVES if leaf not in (*FREE, "preset")]))
def test_a_value_of_the_wrong_type_is_named(leaf):
    with pytest.raises(ConfigError, match=rf"Bad configuration: {leaf}(\.0)?: "):
        make_config(overrides={leaf: ["nonsense"]})


@given(st.sampled_from([leaf for leaf in LEAVES if leaf not in FREE]))
def test_no_number_may_be_infinite_or_nan(leaf):
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ConfigError, match=leaf):
            make_config(overrides={leaf: bad})


@given(lr=st.floats(1e-9, 1.0), steps=st.integers(0, 10**6), seed=st.integers(0, 2**64))
def test_dotted_overrides(lr, steps, seed):
    config = make_config("tiny", overrides={"rl.lr": lr, "rl": {"steps": steps}, "seed": seed})
    assert (config.rl.lr, config.rl.steps, config.seed) == (lr, steps, seed)
    # The rest of the section is the preset's.
    assert config.rl.group_size == PRESETS["tiny"]["rl"].get("group_size", TrainConfig().rl.group_size)


def test_a_file_stands_between_preset_and_overrides(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('seed = 5\n[rl]\nlr = 0.5\nsteps = 2\n[env]\nid = "thinkact/FactbookQA-v0"\nkwargs = {hops = 1}\n')
    config = make_config("tiny", file=file, overrides={"rl.steps": 3})
    assert (config.seed, config.rl.lr, config.rl.steps, config.model.name) == (5, 0.5, 3, "tiny")
    # The preset's environment had knobs of its own; they went with it.
    assert config.env.kwargs == {"hops": 1}
    for text in ("seed = [", "\x00"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"run\.toml"):
            make_config(file=file)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        make_config(file=tmp_path / "missing.toml")


def test_a_file_may_name_its_preset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('preset = "tiny"\nseed = 5\n')
    assert make_config(file=file) == make_config("tiny", overrides={"seed": 5})
    file.write_text('preset = "big"\n')
    with pytest.raises(ConfigError, match="'big'; there are default, tiny"):
        make_config(file=file)


def test_knobs_given_one_by_one_stay_together():
    overrides = {"env.id": "thinkact/FactbookQA-v0", "env.kwargs.hops": 1, "env.kwargs.templates": ["lookup"]}
    assert make_config("tiny", overrides=overrides).env.kwargs == {"hops": 1, "templates": ["lookup"]}


def test_presets_are_not_changed_by_use():
    before = copy.deepcopy(PRESETS)
    PRESETS["probe"] = {"rl": {"estimator": "gigpo", "estimator_options": {"omega": 0.5}}}
    try:
        first = make_config("probe", overrides={"rl.estimator_options.gamma": 0.5})
        assert first.rl.estimator_options == {"omega": 0.5, "gamma": 0.5}
        assert make_config("probe").rl.estimator_options == {"omega": 0.5}
    finally:
        del PRESETS["probe"]
    assert before == PRESETS


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"rl.estimator": "grop"}, r"Unknown estimator 'grop'; there are reinforce, rloo"),
        ({"rl.estimator": "rloo", "rl.estimator_options.kappa": 1}, r"no option 'kappa'"),
        ({"model.train_layers": 2, "model.lora_rank": 4}, "exclude each other"),
        ({"model.tiny_hidden": 100}, r"model\.tiny_hidden: .*multiple of 8"),
        ({"rl.group_size": 1}, r"rl\.group_size: .*greater than or equal to 2"),
        ({"seed": -1}, "seed: .*greater than or equal to 0"),
        ({"eval.split": "train"}, r"eval\.split"),
        ({"rl.lr.x": 1}, r"rl\.lr: "),
        ({"rl": 3}, "rl: "),
        ({"curriculum.arms": [{"name": "a", "knobs": {}}]}, r"unknown key 'curriculum\.arms\.0\.knobs'; .* kwargs"),
        ({"curriculum.arms": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"curriculum.mode": "adaptive"}, "give two or more"),
        ({"curriculum.explore": 0.2}, "'adaptive' or 'staged' only"),
        ({"rollout.max_staleness": 1}, r"set rl\.tis_cap"),
        ({"rollout.ray_workers": 2, "rollout.processes": 2}, "exclude each other"),
        ({"rollout.processes": 0}, "from 1 on, or 'auto'"),
        ({"rollout.processes": "all"}, "from 1 on, or 'auto'"),
        ({"rollout.sampler": "sglang"}, r"rollout\.sampler: .*'hf' or 'vllm'"),
        ({"rollout.sampler": "vllm"}, r"set rl\.tis_cap"),
        ({"rollout.vllm_memory": 0.5}, "with sampler 'vllm' only"),
        ({"rollout.sampler": "vllm", "rl.tis_cap": 2.0, "rollout.processes": 2}, "leave out processes"),
        ({"rollout.sampler": "vllm", "rl.tis_cap": 2.0, "rollout.max_staleness": 1}, "leave out max_staleness"),
        ({"rollout.sampler": "vllm", "rl.tis_cap": 2.0, "sample.max_kv_bytes": 1}, "neither sample"),
        ({"rollout.sampler": "vllm", "rl.tis_cap": 2.0, "shard": "full"}, "nor shard"),
        ({"sft.keep": 2}, "experts solve all"),
        ({"sft.source": "teacher.jsonl", "sft.attempts": 2}, "source 'own' only"),
    ],
)
def test_what_makes_no_sense_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        make_config(overrides=overrides)


def test_an_unknown_preset_names_the_known():
    with pytest.raises(ConfigError, match="'big'; there are default, tiny"):
        make_config("big")


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_can_be_chosen(name):
    assert make_config(overrides={"rl.estimator": name}).rl.estimator == name


def test_one_way_to_train_less_takes_the_place_of_the_other():
    assert make_config("default").model.train_layers is not None
    chosen = make_config("default", overrides={"model.lora_rank": 16}).model
    assert (chosen.lora_rank, chosen.train_layers) == (16, None)


def test_another_estimator_does_not_inherit_options():
    assert make_config("default").rl.estimator_options == {"normalise": True}
    assert make_config("default", overrides={"rl.estimator": "rloo"}).rl.estimator_options == {}
    chosen = make_config("default", overrides={"rl.estimator": "gigpo", "rl.estimator_options.omega": 0.5})
    assert chosen.rl.estimator_options == {"omega": 0.5}
    assert make_config("default", overrides={"rl.estimator": "turn_rtg"}).rl.estimator_options == {"normalise": True}


def test_what_the_command_prints_is_a_file_it_reads(tmp_path):
    settings = {
        "curriculum.mode": "staged",
        "curriculum.arms": [{"name": "a", "kwargs": {"horizon": 4}}, {"name": "b", "id": "thinkact/PythonTask-v0"}],
        "rollout.max_staleness": 1,
        "rl.tis_cap": 2.0,
    }
    options = {"model": None, "name": None, "seed": 3, "resume": False, "runs": tmp_path, "board": None}
    asked = Request.of(preset="tiny", file=None, settings=settings, ray=3, **options).config
    assert (asked.rollout.ray_workers, asked.seed) == (3, 3)
    assert [(arm.id, arm.kwargs) for arm in asked.arms] == [
        ("thinkact/Credit-v0", {"world": ["key-door", "lucky"], "horizon": 4}),
        ("thinkact/PythonTask-v0", {}),  # another environment has no use for the first one's knobs
    ]
    file = tmp_path / "run.toml"
    file.write_text(to_toml(asked))
    assert make_config(file=file) == asked
