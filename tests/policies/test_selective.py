"""The hand-written gradient of log-probability and entropy against autograd's."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [train]: pip install 'thinkact[train]'")

from thinkact.policies.selective import selective_log_softmax  # noqa: E402


def plain(logits, targets, temperature, softcap):
    z = logits if softcap is None else softcap * torch.tanh(logits / softcap)
    logp = (z / temperature).log_softmax(-1)
    return logp.gather(1, targets[:, None])[:, 0], -(logp.exp() * logp).sum(-1)


@pytest.mark.parametrize("rows", [0, 77])
@pytest.mark.parametrize("temperature, softcap", [(1.0, None), (0.7, None), (1.3, 2.0)])
@pytest.mark.parametrize("entropy_grad", [True, False])
def test_values_and_gradients_are_those_of_autograd(rows, temperature, softcap, entropy_grad):
    draw = torch.Generator().manual_seed(rows)
    logits = (6 * torch.randn(rows, 50, generator=draw)).requires_grad_()
    targets = torch.randint(50, (rows,), generator=draw)
    weights = torch.randn(2, rows, generator=draw)
    wanted = plain(logits.double(), targets, temperature, softcap)
    found = selective_log_softmax(logits, targets, temperature=temperature, softcap=softcap, entropy_grad=entropy_grad)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b.float(), atol=1e-5, rtol=1e-5)
    assert found[1].requires_grad == entropy_grad and (found[1] >= 0).all()
    gradients = [
        torch.autograd.grad(
            sum((w * v).sum() for w, v in list(zip(weights, each, strict=True))[: 1 + entropy_grad]), logits
        )
        for each in (wanted, found)
    ]
    torch.testing.assert_close(*(each[0] for each in gradients), atol=1e-5, rtol=1e-4)


def test_logits_that_nobody_else_wants_make_room_for_their_gradient():
    logits = torch.randn(40, 50, generator=torch.Generator().manual_seed(0), requires_grad=True)
    gradients = []
    for overwrite in (False, True):
        z = logits * 1.0
        found = selective_log_softmax(z, torch.arange(40), overwrite=overwrite)
        z.register_hook(lambda gradient, z=z: gradients.append((gradient.clone(), gradient.data_ptr() == z.data_ptr())))
        (found[0].sum() + found[1].sum()).backward()
    assert torch.equal(gradients[0][0], gradients[1][0]) and [same for _, same in gradients] == [False, True]


def test_logits_in_bf16_lose_nothing_but_their_own_precision():
    logits = (20 * torch.randn(40, 500, generator=torch.Generator().manual_seed(1))).bfloat16().requires_grad_()
    targets = torch.arange(40)
    found, wanted = (f(logits, targets) for f in (selective_log_softmax, lambda x, t: plain(x.float(), t, 1.0, None)))
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-5)
    (gradient,) = torch.autograd.grad(found[0].sum(), logits)
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted[0].sum(), logits)[0])


def test_a_token_that_is_certain_has_no_gradient():
    logits = torch.tensor([[1000.0, 0.0, -1000.0]]).requires_grad_()
    logp, entropy = selective_log_softmax(logits, torch.tensor([0]))
    assert logp.item() == 0.0 and entropy.item() == 0.0
    assert not torch.autograd.grad(logp.sum() + entropy.sum(), logits)[0].any()
