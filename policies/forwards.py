"""The two forward passes over a key-value table: any Hugging Face model's own, and a fused one for Llamas."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from thinkact.policies.kv import Chunk, KVTable


class Forward(Protocol):
    """A forward pass over a table."""

    def __call__(self, table: KVTable, chunk: Chunk) -> Tensor:
        """Store the chunk's keys and values and return the last logits of every row, (B, vocabulary)."""
        ...

    def refresh(self) -> None:
        """Copy the trained weights into the inference copy."""
        ...

    def release(self) -> None:
        """Free the inference copy, which :meth:`refresh` makes anew."""
        ...


def unwrap(model: nn.Module) -> PreTrainedModel:
    """Return the Hugging Face model inside a peft wrapper, or the model itself."""
    wrapped: Any = model
    return cast(PreTrainedModel, wrapped.get_base_model() if hasattr(model, "peft_config") else model)


class Weights(Mapping[str, Tensor]):
    """Weights by name, each made when it is asked for: merged with its adapters, put together where it is sharded.

    Where a model is sharded over processes, all of them must ask for the same names in the same order.
    """

    def __init__(self, made: dict[str, Callable[[], Tensor]]) -> None:
        self._made = made

    def __getitem__(self, name: str) -> Tensor:
        with torch.no_grad():
            return self._made[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def _plain(tensor: Tensor) -> Tensor:
    """Return a tensor without gradient, put together from the parts of all processes where it is sharded."""
    sharded: Any = tensor.detach()
    return cast(Tensor, sharded.full_tensor() if hasattr(sharded, "full_tensor") else sharded)


def _merged(module: Any, weight: Tensor, adapters: Sequence[str]) -> Tensor:
    found = _plain(weight)
    for adapter in adapters:
        found = found + _plain(module.get_delta_weight(adapter)).to(found.dtype)
    return found


def effective_weights(model: nn.Module) -> Weights:
    """Name to tensor of every parameter and buffer, with LoRA adapters merged into the weights they adapt.

    The names are those of the plain model.

    Raises:
        ValueError: An adapter is of a kind whose merge is more than adding a delta (DoRA).
    """
    found: dict[str, Callable[[], Tensor]] = {}
    hidden: set[str] = set()
    for name, module in model.named_modules():
        if any(name.startswith(h) for h in hidden):
            continue
        prefix = f"{name}." if name else ""
        if hasattr(module, "base_layer"):
            hidden.add(prefix)
            active = [a for a in module.active_adapters if a in getattr(module, "lora_A", {})]
            if any(getattr(module, "use_dora", {}).get(a) for a in active):
                raise ValueError(f"{name}: DoRA adapters are not supported; use plain LoRA")
            merging = [] if module.merged or module.disable_adapters else active
            for kind, tensor in module.base_layer.named_parameters(recurse=False):
                found[prefix + kind] = partial(_merged, module, tensor, merging if kind == "weight" else [])
        elif hasattr(module, "modules_to_save") and hasattr(module, "original_module"):
            hidden.add(prefix)
            active = [a for a in module.active_adapters if a in module.modules_to_save]
            chosen = module.modules_to_save[active[0]] if active else module.original_module
            found.update({prefix + k: partial(_plain, t) for k, t in chosen.state_dict().items()})
        else:
            for kind, tensor in (
                *module.named_parameters(recurse=False, remove_duplicate=False),
                *module.named_buffers(recurse=False, remove_duplicate=False),
            ):
                found[prefix + kind] = partial(_plain, tensor)
    return Weights(found)


class _TableLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer of a `KVTable`, seen as a layer of a Hugging Face cache."""

    is_sliding = False

    def __init__(self, owner: _TableCache, index: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.owner, self.index = owner, index

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the table allocates on the first write."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store (B, heads, S, head_dim) and return all keys and values as (B, heads, T, head_dim)."""
        chunk = self.owner.chunk
        k, v = chunk.gather(key_states.transpose(1, 2)), chunk.gather(value_states.transpose(1, 2))
        return chunk.store(self.owner.table, self.index, k, v)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the keys that a mask must cover."""
        return self.owner.chunk.reach, 0

    def get_seq_length(self) -> int:
        """Keys stored before this chunk (of the longest row)."""
        return self.owner.chunk.reach - self.owner.chunk.width

    def get_max_length(self) -> int:
        """No maximum: the engine bounds the length."""
        return -1


class _TableCache(Cache):
    """A Hugging Face cache over a `KVTable` for one chunk."""

    def __init__(self, table: KVTable, chunk: Chunk) -> None:
        self.table, self.chunk = table, chunk
        super().__init__(layers=[_TableLayer(self, i) for i in range(len(table.keys))])


class GenericForward:
    """Any causal language model: its own forward with a table cache and explicit masks.

    Shares the parameters when neither the dtype changes nor an adapter must be merged.
    """

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Wrap `model`; copy it where sharing is impossible."""
        self.source = source = unwrap(model)
        self.kinds = set(getattr(source.config, "layer_types", None) or ())
        if unknown := self.kinds - {"full_attention", "sliding_attention"}:
            raise ValueError(f"layers of type {sorted(unknown)} keep a state that is not keys and values")
        self.window: int | None = getattr(source.config, "sliding_window", None)
        self.copy: PreTrainedModel | None = None
        shared = source is model and all(
            p.dtype == dtype and not hasattr(p, "full_tensor") for p in source.parameters()
        )
        if not shared:
            device = next(source.parameters()).device
            fresh: Any = type(source)(source.config)
            self.copy = fresh.to(device=device, dtype=dtype).eval().requires_grad_(False)
        self.trims = "logits_to_keep" in inspect.signature(source.forward).parameters
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the trained weights into the inference copy."""
        if self.copy is not None:
            weights = effective_weights(self.source)
            own = [
                *self.copy.named_parameters(remove_duplicate=False),
                *self.copy.named_buffers(remove_duplicate=False),
            ]
            for name, tensor in own:
                if tensor.is_floating_point() and name not in weights:
                    raise ValueError(f"the model has no weight named {name}")
                if name in weights:
                    # Buffers such as the rotary frequencies keep their precision.
                    if name not in dict(self.copy.named_parameters(remove_duplicate=False)):
                        tensor.data = weights[name].clone()
                    else:
                        tensor.data = tensor.data.new_empty(weights[name].shape).copy_(weights[name])

    def release(self) -> None:
        """Free the inference copy."""
        for parameter in self.copy.parameters() if self.copy is not None else ():
            parameter.data = parameter.data.new_empty(0)

    def __call__(self, table: KVTable, chunk: Chunk) -> Tensor:
        """See `Forward`."""
        model: Any = self.copy if self.copy is not None else self.source
        training = model.training
        mask: Any = chunk.mask if chunk.mask is not None else chunk.causal_mask()
        if "sliding_attention" in self.kinds:
            mask = {"full_attention": mask, "sliding_attention": chunk.causal_mask(self.window)}
        elif self.window is not None and not self.kinds:
            mask = chunk.causal_mask(self.window)
        inputs: dict[str, Any] = {}
        last = chunk.padded[chunk.last] % chunk.width  # (B,), column of every row's last token
        if self.trims:
            columns, last = torch.unique(last, return_inverse=True)
            inputs["logits_to_keep"] = columns
        model.eval()
        try:
            logits = model(
                input_ids=chunk.spread(chunk.tokens),
                position_ids=chunk.spread(chunk.positions),
                attention_mask=mask,
                past_key_values=_TableCache(table, chunk),
                use_cache=True,
                **inputs,
            ).logits
        finally:
            model.train(training)
        return cast(Tensor, logits[torch.arange(chunk.batch, device=logits.device), last])


def _padded(rows: int) -> int:
    """Round a number of rows up: the kernels are compiled for each, and kept, which takes milliseconds and 0.7 MB."""
    step = 8 if rows <= 64 else 64 if rows <= 512 else 256
    return -(-rows // step) * step


class _Linear:
    """A bias-free product with a weight (out, in) that is replaced as a whole.

    On a CPU the weight is laid out once for the kernels, which otherwise do so on every call: 1.2 to 2.5 times as
    fast at the batch sizes of decoding.
    """

    def __init__(self, parts: Sequence[Tensor], dtype: torch.dtype) -> None:
        """Stack `parts`, each (out_i, in)."""
        weight = torch.cat([p.to(dtype) for p in parts])  # a new tensor, never the trainer's own
        self.weight, self.packed = weight, False
        usable = weight.device.type == "cpu" and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        if usable and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
            self.weight, self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, None), True

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in) to (N, out)."""
        if self.packed:
            rows = len(x)
            if padding := _padded(rows) - rows:
                x = F.pad(x, (0, 0, 0, padding))
            return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, self.weight, None, "none", [], ""))[:rows]
        return F.linear(x, self.weight)


class LlamaForward:
    """Llama models, fused: one product for q, k and v, one for gate and up, no padding outside attention.

    Always works on its own copy of the weights, which `refresh` updates.
    """

    @staticmethod
    def supports(model: nn.Module) -> bool:
        """Whether `model` is a plain Llama that this pass computes exactly."""
        base = unwrap(model)
        c = base.config
        return (
            type(base).__name__ == "LlamaForCausalLM"
            and c.model_type == "llama"
            and c.hidden_act == "silu"
            and not (c.attention_bias or c.mlp_bias)
            # The other kinds change their frequencies with the length of the sequence.
            and (c.rope_parameters or {}).get("rope_type") in ("default", "linear", "llama3", "yarn")
        )

    def __init__(self, model: nn.Module, dtype: torch.dtype, max_len: int) -> None:
        """Copy the weights of `model` in `dtype` and tabulate the rotary angles of `max_len` positions."""
        self.source = source = unwrap(model)
        c = source.config
        self.heads, self.kv_heads, self.head_dim = c.num_attention_heads, c.num_key_value_heads, c.head_dim
        self.group = self.heads // self.kv_heads
        self.hidden, self.inner, self.eps = c.hidden_size, c.intermediate_size, c.rms_norm_eps
        self.layers = c.num_hidden_layers
        self.tied = bool(c.tie_word_embeddings)
        device = next(source.parameters()).device
        position = torch.arange(max_len, device=device)[None]
        # The model's own module, in fp32: it knows the scaling that the configuration asks for.
        cos, sin = source.model.rotary_emb(torch.zeros(1, device=device), position)
        half = self.head_dim // 2
        sign = torch.ones(self.head_dim, device=device)
        sign[:half] = -1.0
        self.cos, self.sin = cos[0, :, None].to(dtype), (sin[0, :, None] * sign).to(dtype)  # (P, 1, D)
        self.stack: list[tuple[_Linear, _Linear, _Linear, _Linear]] = []
        self.dtype = dtype
        self.refresh()

    @torch.no_grad()
    def refresh(self) -> None:
        """Copy the trained weights into the fused copy."""
        w = effective_weights(self.source)

        def folded(norm: str, *names: str) -> _Linear:
            return _Linear([w[n].float() * w[norm].float() for n in names], self.dtype)

        def projections(at: str) -> _Linear:
            norm = w[at + "input_layernorm.weight"].float()
            q, k, v = (w[f"{at}self_attn.{p}_proj.weight"].float() * norm for p in "qkv")
            return _Linear([q * self.head_dim**-0.5, k, v], self.dtype)  # the scale of the scores is in the queries

        self.embed = w["model.embed_tokens.weight"].to(self.dtype, copy=True)
        self.head = folded("model.norm.weight", "model.embed_tokens.weight" if self.tied else "lm_head.weight")
        self.stack = []
        for i in range(self.layers):
            at = f"model.layers.{i}."
            self.stack.append(
                (
                    projections(at),
                    _Linear([w[at + "self_attn.o_proj.weight"]], self.dtype),
                    folded(
                        at + "post_attention_layernorm.weight", *(f"{at}mlp.{p}_proj.weight" for p in ("gate", "up"))
                    ),
                    _Linear([w[at + "mlp.down_proj.weight"]], self.dtype),
                )
            )

    def release(self) -> None:
        """Free the fused copy."""
        del self.embed, self.head
        self.stack = []

    def _norm(self, x: Tensor) -> Tensor:
        """RMS norm of (N, E) without its weight, which `refresh` folds into the product that follows."""
        return F.rms_norm(x, (self.hidden,), eps=self.eps)

    def __call__(self, table: KVTable, chunk: Chunk) -> Tensor:
        """See `Forward`."""
        heads, kv, dim = self.heads, self.kv_heads, self.head_dim
        cos, sin = self.cos[chunk.positions], self.sin[chunk.positions]  # (N, 1, D)
        x = F.embedding(chunk.tokens, self.embed)  # (N, E)
        single = chunk.width == 1 and x.device.type == "cpu"
        mask = None if chunk.mask is None else chunk.mask[:, 0]  # (B, S, T)
        wide = None if single or chunk.mask is None else chunk.mask.repeat(1, 1, self.group, 1)
        for i, (qkv_of, out_of, gate_up_of, down_of) in enumerate(self.stack):
            qkv = qkv_of(self._norm(x)).view(-1, heads + 2 * kv, dim)
            qk = qkv[:, : heads + kv]
            qk = (qk * cos).addcmul_(qk.roll(dim // 2, -1), sin)
            keys, values = chunk.store(table, i, qk[:, heads:], qkv[:, heads + kv :])
            if single:
                mixed = self._attend_one(qk[:, :heads], *chunk.attend(table, i), mask)
            else:
                mixed = self._attend(chunk, qk[:, :heads], keys, values, wide)
            if i == self.layers - 1:  # what follows is only needed where logits are
                mixed, x = mixed[chunk.last], x[chunk.last]
            x = x + out_of(mixed)
            gate_up = gate_up_of(self._norm(x))
            x = x + down_of(F.silu(gate_up[:, : self.inner]).mul_(gate_up[:, self.inner :]))
        return self.head(self._norm(x))

    def _attend_one(self, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """One query per row. q (B, H, D), keys and values (B or more, KV, T, D), mask (B, 1, T) to (B, H * D).

        Two products over all rows: on a CPU the attention kernel takes several times as long for one query.
        """
        rows, batch, reach, dim = len(q), *(keys.shape[i] for i in (0, 2, 3))
        if batch > rows:
            q = F.pad(q, (0, 0, 0, 0, 0, batch - rows))
        # Where they are a part of the table's length oneDNN would copy the keys, too, and transpose them meanwhile.
        keys, values = keys.contiguous().view(-1, reach, dim), values.contiguous().view(-1, reach, dim)
        scores = torch.bmm(q.reshape(-1, self.group, dim), keys.transpose(1, 2)).view(batch, -1, reach)
        if mask is not None:
            scores[:rows] += mask
        weights = scores.softmax(-1).view(-1, self.group, reach)
        return torch.bmm(weights, values).view(batch, -1)[:rows]

    def _attend(self, chunk: Chunk, q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Any number of queries per row. q (N, H, D), keys and values (B, KV, T, D) to (N, H * D)."""
        batch, width = chunk.batch, chunk.width
        # The heads of a group become more queries of one key head: no repeated keys.
        grid = chunk.spread(q).view(batch, width, self.kv_heads, self.group, self.head_dim)
        queries = grid.permute(0, 2, 3, 1, 4).reshape(batch, self.kv_heads, -1, self.head_dim)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=1.0)
        mixed = mixed.view(batch, self.kv_heads, self.group, width, self.head_dim)
        return chunk.gather(mixed.permute(0, 3, 1, 2, 4).reshape(batch, width, -1))
