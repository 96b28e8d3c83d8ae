"""State dicts of PyTorch: outputs, states and all gradients after import; unchanged on the way back."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import require
from tolerances import PARITY, check

import minilstm as ml
from minilstm.interop import from_torch_state_dict, to_torch_state_dict

pytestmark = pytest.mark.peer

B, T, D, H = 4, 6, 3, 5
CELLS = {"LSTM": ml.LSTM, "GRU": ml.GRU, "RNN": ml.SimpleRNN}
on_cells = pytest.mark.parametrize("cell", sorted(CELLS))


def modules(torch, cell, num_layers=1, bias=True, dtype="float64", seed=0):
    """An nn module with nothing special about its weights, and our model of the same shape."""
    torch.manual_seed(seed)
    kind = getattr(torch, dtype)
    module = getattr(torch.nn, cell)(D, H, num_layers, bias=bias, batch_first=True, dtype=kind)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn_like(p) * 0.6)
    layers = [
        CELLS[cell](H, return_sequences=True, use_bias=bias, **({"input_shape": (None, D)} if k == 0 else {}))
        for k in range(num_layers)
    ]
    return module, ml.Sequential(layers, dtype=dtype)


@on_cells
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_all_gradients_are_pytorch_s(torch, cell, num_layers, dtype, bias):
    module, model = modules(torch, cell, num_layers, bias, dtype)
    state = module.state_dict()
    from_torch_state_dict(state, model.layers)
    x = np.random.default_rng(1).normal(size=(B, T, D)).astype(dtype)
    y = np.random.default_rng(2).normal(size=(B, T, H)).astype(dtype)
    tensor = torch.from_numpy(x)
    output, _ = module(tensor)
    check(model.predict(x), output.detach().numpy(), PARITY[dtype])
    torch.nn.functional.mse_loss(output, torch.from_numpy(y)).backward()
    model.compile("sgd", "mse")
    trace = model.trace(x, y)
    ours = ml.Sequential(
        [
            CELLS[cell](H, return_sequences=True, use_bias=bias, input_shape=(None, D if k == 0 else H))
            for k in range(num_layers)
        ],
        dtype=dtype,
    )
    ours.set_weights(list(trace.grads.values()))  # gradients under PyTorch's names, by the same way
    theirs = {name: p.grad.numpy() for name, p in module.named_parameters()}
    for name, gradient in to_torch_state_dict(ours.layers).items():
        if cell != "GRU" and name.startswith("bias_hh"):
            continue  # one bias here: its gradient is that of bias_ih
        check(gradient, theirs[name], PARITY[dtype], what=name)


@on_cells
@pytest.mark.parametrize("num_layers", [1, 2])
def test_a_state_dict_goes_back_unchanged(torch, cell, num_layers):
    module, model = modules(torch, cell, num_layers, dtype="float32")
    state = module.state_dict()
    from_torch_state_dict(state, model.layers)
    back = to_torch_state_dict(model.layers, like=state)
    assert list(back) == list(state)
    for name, array in back.items():
        assert array.dtype == np.float32
        assert array.tobytes() == state[name].numpy().tobytes(), name
    assert module.load_state_dict({k: torch.from_numpy(v) for k, v in back.items()})


@on_cells
def test_our_weights_come_back_with_the_same_bits(torch, cell):
    module, model = modules(torch, cell, 2, dtype="float32")
    rng = np.random.default_rng(3)
    before = [rng.normal(size=w.shape).astype("float32") for w in model.get_weights()]
    model.set_weights(before)
    state = to_torch_state_dict(model.layers)
    module.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})
    model.set_weights([np.zeros_like(w) for w in before])
    from_torch_state_dict(module.state_dict(), model.layers)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert old.tobytes() == new.tobytes()


@on_cells
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_stacked_and_bidirectional_with_ragged_lengths(torch, cell, dtype):
    """Packed sequences there, a mask here; and back unchanged."""
    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    module = getattr(torch.nn, cell)(D, H, 2, batch_first=True, bidirectional=True, dtype=kind)
    layers = [
        ml.Bidirectional(CELLS[cell](H, return_sequences=True), input_shape=(None, D)),
        ml.Bidirectional(CELLS[cell](H, return_sequences=True)),
    ]
    model = ml.Sequential(layers, dtype=dtype)
    state = module.state_dict()
    from_torch_state_dict(state, model.layers)
    x = np.random.default_rng(1).normal(size=(B, T, D)).astype(dtype)
    lengths = [6, 4, 3, 1]
    packed = torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), lengths, batch_first=True)
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)
    mask = ml.lengths_to_mask(lengths, padding="post")
    check(model.predict(x, mask=mask), output.detach().numpy(), PARITY[dtype])
    back = to_torch_state_dict(model.layers, like=state)
    assert list(back) == list(state)
    assert all(array.tobytes() == state[name].numpy().tobytes() for name, array in back.items())


def test_after_training_the_second_bias_stays_and_the_first_takes_the_change(torch):
    module, model = modules(torch, "LSTM")
    state = {name: value.clone() for name, value in module.state_dict().items()}
    from_torch_state_dict(state, model.layers)
    model.layers[0].params["bias"][2] += 0.25
    back = to_torch_state_dict(model.layers, like=state)
    changed = back["bias_ih_l0"] != state["bias_ih_l0"].numpy()
    assert np.flatnonzero(changed).tolist() == [2]
    check(back["bias_ih_l0"] + back["bias_hh_l0"], model.layers[0].params["bias"], 1e-15)


def test_parts_of_a_module_by_prefix(torch):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(7, D)
            self.rnn = torch.nn.LSTM(D, H, batch_first=True)
            self.head = torch.nn.Linear(H, 2)

        def forward(self, x):
            return self.head(self.rnn(self.table(x))[1][0][-1])

    torch.manual_seed(0)
    net = Net()
    state = net.state_dict()
    model = ml.Sequential([ml.Embedding(7, D, input_shape=(T,)), ml.LSTM(H), ml.Dense(2)])
    back = {}
    for prefix, layer in zip(("table.", "rnn.", "head."), model.layers, strict=True):
        from_torch_state_dict(state, layer, prefix=prefix)
        back |= to_torch_state_dict(layer, prefix=prefix, like=state)
    ids = np.random.default_rng(0).integers(0, 7, (B, T))
    check(model.predict(ids), net(torch.from_numpy(ids)).detach().numpy(), PARITY["float32"])
    assert {k: v.tobytes() for k, v in back.items()} == {k: v.numpy().tobytes() for k, v in state.items()}
    assert list(back) == list(state)


def test_what_does_not_fit_is_named_and_changes_nothing(torch):
    module, model = modules(torch, "LSTM", 2)
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    before = model.get_weights()

    def refused(change, message, layers=None):
        with pytest.raises(ValueError, match=message):
            from_torch_state_dict(change, layers or model.layers)
        for old, new in zip(before, model.get_weights(), strict=True):
            assert (old == new).all()

    without = {name: value for name, value in state.items() if name != "bias_hh_l1"}
    refused(without, "state must be with an entry 'bias_hh_l1', got weight_ih_l0, ")
    refused(state, "that the layers do not have, got weight_ih_l1", model.layers[:1])
    refused(state | {"weight_hr_l0": np.ones((2, 2))}, "projections .proj_size.*got weight_hr_l0")
    refused(state | {"weight_ih_l0_reverse": np.ones((2, 2))}, "got weight_ih_l0_reverse")
    shape = r"'weight_hh_l1'\] must be of shape \(20, 5\), for lstm_1/recurrent_kernel, got \(8, 2\)"
    refused(state | {"weight_hh_l1": np.ones((8, 2))}, shape)
    refused(state | {"bias_ih_l1": np.ones((20, 1))}, r"of shape \(20,\), .* got \(20, 1\)")
    no_bias = {name: value for name, value in state.items() if "bias" not in name}
    refused(no_bias, "with an entry 'bias_ih_l0', or 'lstm' made with use_bias=False, got weight_ih_l0")
    dense = [model.layers[0], ml.Dense(1, input_shape=(4,))]
    dense[1].build((None, 4))
    refused(state, "layer 'dense' must be .* or a call of its own, with its prefix", dense)
    refused(
        state | {"weight_ih_l1": np.full((20, 5), np.nan)},
        "must be finite in float64, got NaN, Inf or too large",
    )
    with pytest.raises(TypeError, match=r"'weight_ih_l0'\] must be an array of floats, got dtype int64"):
        from_torch_state_dict(state | {"weight_ih_l0": np.ones((20, 3), int)}, model.layers)
    with pytest.raises(
        RuntimeError, match="layer 'lstm' has no weights yet: build the model, or use it once"
    ):
        to_torch_state_dict(ml.LSTM(4))
    with pytest.raises(TypeError, match="layers must be a layer or a list of recurrent layers"):
        to_torch_state_dict([])
    peepholes = ml.Sequential([ml.LSTM(4, peepholes=True, backend="numpy", input_shape=(None, 2))])
    with pytest.raises(ValueError, match="as PyTorch has them"):
        to_torch_state_dict(peepholes.layers)


def test_state_dicts_of_any_content_are_refused_by_name(torch):
    layer = ml.LSTM(4)
    layer(np.ones((1, 2, 3)))
    before = layer.get_weights()
    good = to_torch_state_dict(layer)
    first = "weight_ih_l0"
    tensor = torch.ones(16, 3)
    wrong = {
        "sparse": tensor.to_sparse(), "meta": tensor.to("meta"), "ragged": [[1.0], [1.0, 2.0]], "text": "x",
        "object": {"a": 1}, "none": None,
    }  # fmt: skip
    for value in wrong.values():
        with pytest.raises(TypeError, match=r"state\['weight_ih_l0'\] must be an array of floats"):
            from_torch_state_dict(good | {first: value}, layer)
    with pytest.raises(ValueError, match="must be finite in float32"):
        from_torch_state_dict(good | {first: np.full((16, 3), 1e300)}, layer)
    for state in ([1], "text", {1: tensor}):
        with pytest.raises(TypeError, match="state must be a state dict"):
            from_torch_state_dict(state, layer)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    from_torch_state_dict(good | {first: tensor.bfloat16()}, layer)
    np.testing.assert_array_equal(layer.params["kernel"], 1)


def test_bfloat16_from_memory_and_from_files(torch, tmp_path):
    """Of tensors, and as safetensors.numpy reads them, which takes the dtype of ml_dtypes."""
    require("ml_dtypes")
    require("safetensors")
    import ml_dtypes
    from safetensors import torch as files

    state = torch.nn.LSTM(3, 4).to(torch.bfloat16).state_dict()
    files.save_file(state, tmp_path / "half.safetensors")
    halves = {name: value.float().numpy().astype(ml_dtypes.bfloat16) for name, value in state.items()}
    layer = ml.Sequential([ml.LSTM(4, backend="numpy", input_shape=(None, 3))]).layers[0]
    for given in (state, files.load_file(tmp_path / "half.safetensors"), halves):
        layer.set_weights([0 * weight for weight in layer.get_weights()])
        from_torch_state_dict(given, layer)
        for ours, name in zip(layer.get_weights()[:2], ("weight_ih_l0", "weight_hh_l0"), strict=True):
            assert (ours == state[name].float().numpy().T).all()


@pytest.mark.parametrize("prefix", [None, 1, b"rnn.", ["rnn."]])
def test_a_prefix_that_is_no_text_is_refused(prefix):
    layer = ml.LSTM(2)
    layer(np.ones((1, 2, 3)))
    state = to_torch_state_dict(layer)
    for call in (
        lambda: to_torch_state_dict(layer, prefix=prefix),
        lambda: from_torch_state_dict(state, layer, prefix=prefix),
    ):
        with pytest.raises(TypeError, match="prefix must be a text, got "):
            call()


def test_what_is_wrong_in_like_is_said_of_like():
    layer = ml.LSTM(2)
    layer(np.ones((1, 2, 3)))
    like = to_torch_state_dict(layer) | {"bias_hh_l0": "x"}
    with pytest.raises(TypeError, match=r"^like\['bias_hh_l0'\] must be an array of floats"):
        to_torch_state_dict(layer, like=like)
    with pytest.raises(ValueError, match=r"^like must be with an entry 'bias_ih_l0', got 1"):
        to_torch_state_dict(layer, like={1: 2})
