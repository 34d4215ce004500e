#!/usr/bin/python3
"""Makes the references of this folder with PyTorch, in float64, or compares the kept ones with new ones.

    make.py          writes data/GROUP.{inputs,reference}.safetensors
    make.py --check  makes them again and compares; exit status 77 where there is no torch

A group is a program GROUP.tune with one layer for each case; what they share is in reference.tune. `inputs` is its
data set; `reference` holds tensors of its checkpoint, "STUDY TENSOR": for each parameter its gradient, and in `value`
what the case gives for each example. The loss of a case is sum(y[e, i] cos(n e + i)) over the examples e and their n
elements i. Of optimizers the reference is the path of two numbers over 20 steps, "STUDY path".

Inputs are multiples of 1/64, the same in every precision. Wherever PyTorch has the layer it is
PyTorch's; `by formula` says where it has not.
"""
import json
import math
import os
import struct
import sys
import zlib

try:
    import numpy
    import torch
    from torch.nn import functional as F
except ImportError:
    print("there is no torch")
    sys.exit(77)

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
EXAMPLES = 4  # one batch; two more for the validation split
CLASSES = 7
STEPS = 6  # labels of an example
ORDER = [1, 3, 0, 2]  # of the examples in the batch of the second step: the case "order" says whether it is so

# ---- the file format ----


def write_safetensors(path, tensors):
    header, body = {}, b""
    for name in sorted(tensors):
        array = numpy.ascontiguousarray(tensors[name])
        kind = {"float64": "F64", "float32": "F32", "int32": "I32"}[array.dtype.name]
        begin, body = len(body), body + array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path):
    with open(path, "rb") as file:
        bytes_ = file.read()
    (length,) = struct.unpack("<Q", bytes_[:8])
    tensors = {}
    for name, entry in json.loads(bytes_[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + at for at in entry["data_offsets"])
        kind = {"F64": numpy.float64, "F32": numpy.float32, "I32": numpy.int32}[entry["dtype"]]
        tensors[name] = numpy.frombuffer(bytes_[begin:end], kind).reshape(entry["shape"])
    return tensors


# ---- inputs ----


def drawn(name, shape, scale=1.0):
    """Normal numbers of a tensor, from its name, rounded to 1/64."""
    generator = numpy.random.RandomState(zlib.crc32(name.encode()))
    return numpy.round(generator.standard_normal(shape) * scale * 64) / 64


def wave(shape):
    """Where a parameter starts: reference.tune has the same."""
    line = 0.5 * numpy.cos(1.3 * numpy.arange(math.prod(shape)) + shape[-1])
    return torch.tensor(line.reshape(shape), requires_grad=True)


class Parameters(dict):
    def at(self, name, *shape):
        """Made where it is first wanted."""
        if name not in self:
            self[name] = wave(shape)
        return self[name]


class Group:
    """A program's cases. `features` is the length of the field x."""

    def __init__(self, name, features):
        self.name = name
        self.x = drawn(name + ".x", (EXAMPLES + 2, features))
        self.label = numpy.random.RandomState(len(name)).randint(0, CLASSES, (EXAMPLES + 2, STEPS)).astype(numpy.int32)
        self.reference = {}

    def case(self, name, shapes, function):
        """shapes: of the parameters, by their names in the program. The function gives y [examples, …], or one
        number of the batch, from the parameters, x and the labels."""
        p = Parameters({key: wave(shape) for key, shape in shapes.items()})
        y = function(p, torch.tensor(self.x[:EXAMPLES]), torch.tensor(self.label[:EXAMPLES]).long())
        seen = "1.seen1.value" if y.dim() else "1.seen_number1.value"
        y = y.reshape(EXAMPLES, -1) if y.dim() else y.reshape(1)
        if y.requires_grad:
            (y * torch.cos(torch.arange(y.numel(), dtype=torch.float64).reshape(y.shape))).sum().backward()
        self.reference["s " + name + seen] = y.detach().numpy()
        for key, tensor in p.items():
            gradient = tensor.grad if tensor.grad is not None else torch.zeros_like(tensor)
            self.reference["s " + name + "1." + key] = gradient.numpy()

    def files(self):
        example = numpy.arange(EXAMPLES + 2, dtype=numpy.int32)
        inputs = {"x": self.x.astype(numpy.float32), "label": self.label, "example": example}
        return {"inputs": inputs, "reference": self.reference}


# ---- cases ----


def image(x, height, width, channels):
    """The first numbers of x as images, channels last."""
    return x[:, : height * width * channels].reshape(-1, height, width, channels)


def turned(weight):
    """[size, size, n, width] as PyTorch has it: [width, n, size, size]."""
    return weight.permute(3, 2, 0, 1)


def conv2d(x, weight, bias=None, **how):
    return F.conv2d(x.permute(0, 3, 1, 2), turned(weight), bias, **how).permute(0, 2, 3, 1)


def same(x, size, stride, dilation=1):
    """Padding so that ceil(n / stride) windows fit; the odd zero behind. x: [examples, h, w, n]."""
    around = []
    for count in (x.shape[2], x.shape[1]):
        zeros = max((math.ceil(count / stride) - 1) * stride + dilation * (size - 1) + 1 - count, 0)
        around += [zeros // 2, zeros - zeros // 2]
    return F.pad(x, [0, 0] + around)


def conv_transpose2d(x, weight, **how):
    """The weight of Tune is that of a convolution of the stretched image: turned around."""
    weight = weight.flip(0, 1).permute(2, 3, 0, 1)
    return F.conv_transpose2d(x.permute(0, 3, 1, 2), weight, **how).permute(0, 2, 3, 1)


def convolutions():
    group = Group("convolutions", 160)

    def case(name, shape, weight, function, bias=True, layer="conv2d1"):
        shapes = {"shift": shape, layer + ".weight": weight}
        if bias:
            shapes[layer + ".bias"] = (weight[-1],)

        def run(p, x, label):
            x = image(x, *shape) + p["shift"]
            y = function(x, p[layer + ".weight"])
            return y + p[layer + ".bias"] if bias else y

        group.case(name, shapes, run)

    case("plain", (5, 6, 3), (3, 3, 3, 4), lambda x, w: conv2d(x, w, padding=1))
    case("valid", (5, 6, 3), (3, 3, 3, 4), lambda x, w: conv2d(x, w), bias=False)
    case("even", (5, 4, 2), (2, 2, 2, 3), lambda x, w: conv2d(same(x, 2, 1), w))
    case("strided", (7, 6, 2), (3, 3, 2, 3), lambda x, w: conv2d(same(x, 3, 2), w, stride=2))
    case("strided_padded", (7, 6, 2), (3, 3, 2, 3), lambda x, w: conv2d(x, w, stride=2, padding=1))
    case("stride_beyond", (7, 8, 2), (2, 2, 2, 3), lambda x, w: conv2d(same(x, 2, 3), w, stride=3))
    case("dilated", (7, 6, 2), (3, 3, 2, 3), lambda x, w: conv2d(x, w, padding=2, dilation=2))
    case("dilated_strided", (8, 7, 2), (3, 3, 2, 3), lambda x, w: conv2d(x, w, padding=3, dilation=2, stride=3))
    case("grouped", (4, 5, 6), (3, 3, 3, 4), lambda x, w: conv2d(x, w, padding=1, groups=2))
    case("depthwise", (5, 4, 4), (3, 3, 1, 4), lambda x, w: conv2d(x, w, padding=1, groups=4))
    case("multiplied", (4, 5, 3), (3, 3, 1, 6), lambda x, w: conv2d(x, w, padding=1, stride=2, groups=3))
    case("pointwise", (4, 5, 6), (1, 1, 6, 5), lambda x, w: conv2d(x, w))
    case("whole", (4, 5, 3), (4, 4, 3, 2), lambda x, w: conv2d(x, w))

    def conv1d(x, w, **how):
        return F.conv1d(x.reshape(x.shape[0], -1, x.shape[-1]).transpose(1, 2), w.permute(2, 1, 0), **how).transpose(1, 2)

    case("signal", (1, 11, 3), (5, 3, 4), lambda x, w: conv1d(x, w, padding=4, dilation=2, stride=2), layer="conv1d1")
    case("signal_grouped", (1, 9, 4), (3, 2, 6), lambda x, w: conv1d(x, w, padding=1, groups=2), layer="conv1d1")

    transposed = dict(layer="conv_transpose2d1")
    case("doubled", (3, 4, 3), (4, 4, 3, 2), lambda x, w: conv_transpose2d(x, w, stride=2, padding=1), **transposed)
    case("doubled_odd", (3, 4, 2), (3, 3, 2, 3),
         lambda x, w: conv_transpose2d(x, w, stride=2)[:, :-1, :-1], **transposed)
    case("tripled", (3, 2, 2), (2, 2, 2, 3),
         lambda x, w: conv_transpose2d(x, w, stride=3, output_padding=1), **transposed)
    case("transposed_valid", (3, 4, 2), (3, 3, 2, 3), lambda x, w: conv_transpose2d(x, w, stride=2), **transposed)
    case("transposed_padded", (4, 3, 2), (4, 4, 2, 3), lambda x, w: conv_transpose2d(x, w, stride=3, padding=2), **transposed)

    def transpose1d(x, w, **how):
        x = x.reshape(x.shape[0], -1, x.shape[-1]).transpose(1, 2)
        return F.conv_transpose1d(x, w.flip(0).permute(1, 2, 0), **how).transpose(1, 2)

    case("signal_doubled", (1, 5, 3), (4, 3, 2), lambda x, w: transpose1d(x, w, stride=2, padding=1),
         layer="conv_transpose1d1")

    def pool(name, shape, function):
        def run(p, x, label):
            return function((image(x, *shape) + p["shift"]).permute(0, 3, 1, 2))

        group.case(name, {"shift": shape}, run)

    def back(y):
        return y.permute(0, 2, 3, 1)

    def largest(x, size, stride, padding=0):
        """max_pool2d but for equal largest elements: here they share the gradient."""
        x = F.pad(x, [padding] * 4, value=-math.inf)
        y = x.unfold(2, size, stride).unfold(3, size, stride).amax((4, 5))
        assert torch.equal(y, F.max_pool2d(x, size, stride))
        return back(y)

    pool("largest", (5, 6, 3), lambda x: largest(x, 2, 2))
    pool("largest_overlapping", (7, 6, 3), lambda x: largest(x, 3, 2, 1))
    pool("average", (5, 6, 3), lambda x: back(F.avg_pool2d(x, 2)))
    pool("average_overlapping", (7, 6, 3), lambda x: back(F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)))
    pool("largest_of_all", (5, 6, 3), lambda x: x.amax((2, 3)))
    pool("average_of_all", (5, 6, 3), lambda x: x.mean((2, 3)))

    def squeeze_excite(p, x, label):
        x = image(x, 3, 4, 8) + p["shift"]
        inner = F.relu(x.mean((1, 2)) @ p["squeeze_excite1.dense1.weight"] + p["squeeze_excite1.dense1.bias"])
        scale = torch.sigmoid(inner @ p["squeeze_excite1.dense2.weight"] + p["squeeze_excite1.dense2.bias"])
        return x * scale[:, None, None]

    group.case("excited", {
        "shift": (3, 4, 8), "squeeze_excite1.dense1.weight": (8, 2), "squeeze_excite1.dense1.bias": (2,),
        "squeeze_excite1.dense2.weight": (2, 8), "squeeze_excite1.dense2.bias": (8,)}, squeeze_excite)
    return group


def rotary(x):
    """By formula; x [..., t, d]: pairs (i, i + d / 2) as complex numbers."""
    t, half = x.shape[-2], x.shape[-1] // 2
    angle = torch.arange(t).double()[:, None] * 10000 ** (-torch.arange(half).double() / half)
    pairs = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([pairs.real, pairs.imag], -1)


def attend(p, prefix, x, context, heads, kv_heads=None, mask=None, turn=False, bias=True):
    """Mask: False where a step is not seen. PyTorch's own function, but for grouped queries and rotary."""
    n, m = x.shape[-1], context.shape[-1]
    kv = n // heads * (kv_heads or heads)
    shapes = {"query": (n, n), "key": (m, kv), "value": (m, kv), "output": (n, n)}
    w = [p.at(prefix + name, *shape) for name, shape in shapes.items()]
    b = [p.at(prefix + name + "_bias", shape[1]) if bias else None for name, shape in shapes.items()]
    if kv_heads is None and not turn:
        biases = torch.cat(b[:3]) if bias else None
        y, _ = F.multi_head_attention_forward(
            x.transpose(0, 1), context.transpose(0, 1), context.transpose(0, 1), x.shape[-1], heads, None, biases, None,
            None, False, 0.0, w[3].T, b[3], attn_mask=None if mask is None else ~mask, need_weights=False,
            use_separate_proj_weight=True, q_proj_weight=w[0].T, k_proj_weight=w[1].T, v_proj_weight=w[2].T)
        return y.transpose(0, 1)

    def apart(values, count):
        return values.reshape(*values.shape[:2], count, -1).transpose(1, 2)

    kv_heads = kv_heads or heads
    q, k, v = apart(x @ w[0] + b[0], heads), apart(context @ w[1] + b[1], kv_heads), apart(context @ w[2] + b[2], kv_heads)
    if turn:
        q, k = rotary(q), rotary(k)
    k, v = (values.repeat_interleave(heads // kv_heads, 1) for values in (k, v))
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    y = (F.softmax(scores, -1) @ v).transpose(1, 2).reshape(x.shape)
    return y @ w[3] + b[3]


def dense(p, name, x, width):
    return x @ p.at(name + ".weight", x.shape[-1], width) + p.at(name + ".bias", width)


def layer_norm(p, name, x):
    n = x.shape[-1]
    return F.layer_norm(x, (n,), p.at(name + ".scale", n), p.at(name + ".shift", n))


def transformer_block(p, prefix, x, heads, hidden, activation, mask=None):
    h = layer_norm(p, prefix + "layer_norm1", x)
    x = x + attend(p, prefix + "multi_head_attention1.", h, h, heads, mask=mask)
    h = activation(dense(p, prefix + "dense1", layer_norm(p, prefix + "layer_norm2", x), hidden))
    return x + dense(p, prefix + "dense2", h, x.shape[-1])


def layers():
    """What works on vectors and sequences: norms, activations, losses, attention, recurrence."""
    group = Group("layers", 48)

    def sequence(x, p):  # [examples, 6, 8]
        return x.reshape(EXAMPLES, 6, 8) + p["shift"]

    def case(name, shapes, function):
        group.case(name, {"shift": (6, 8), **shapes}, lambda p, x, label: function(p, sequence(x, p), label))

    case("dense", {"dense1.weight": (8, 5), "dense1.bias": (5,)},
         lambda p, x, label: F.linear(x, p["dense1.weight"].T, p["dense1.bias"]))

    def affine(name, count=8):
        return {name + "1.scale": (count,), name + "1.shift": (count,)}

    case("layer_norms", affine("layer_norm"),
         lambda p, x, label: F.layer_norm(x, (8,), p["layer_norm1.scale"], p["layer_norm1.shift"]))
    # by formula: the function came with PyTorch 2.4
    case("rms_norms", {"rms_norm1.scale": (8,)},
         lambda p, x, label: x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * p["rms_norm1.scale"])
    case("group_norms", affine("group_norm"),
         lambda p, x, label: F.group_norm(x.transpose(1, 2), 4, p["group_norm1.scale"],
                                          p["group_norm1.shift"]).transpose(1, 2))
    case("instance_norms", affine("instance_norm"),
         lambda p, x, label: F.instance_norm(x.transpose(1, 2), None, None, p["instance_norm1.scale"],
                                             p["instance_norm1.shift"]).transpose(1, 2))

    # ---- batch norm; moving averages have seen the batch twice, at first with another shift ----

    def batch_norm(p, x, label):
        scale, shift = p["batch_norm1.scale"], p["batch_norm1.shift"]
        mean, variance = torch.zeros(8, dtype=torch.float64), torch.ones(8, dtype=torch.float64)
        for step in (x - p["shift"], x):
            y = F.batch_norm(step.transpose(1, 2), None, None, scale, shift, True)
            flat = step.detach().reshape(-1, 8)
            mean = 0.9 * mean + 0.1 * flat.mean(0)
            variance = 0.9 * variance + 0.1 * flat.var(0, unbiased=False)
        group.reference["s batch_norms1.batch_norm1.moving_mean"] = mean.numpy()
        group.reference["s batch_norms1.batch_norm1.moving_variance"] = variance.numpy()
        return y.transpose(1, 2)

    case("batch_norms", affine("batch_norm"), batch_norm)

    def ghosts(size):
        """Groups of `size` examples in a row; those left over take the statistics of the last whole group."""
        def run(p, x, label):
            y = [None] * EXAMPLES
            groups = [ORDER[i : i + size] for i in range(0, EXAMPLES - size + 1, size)]
            for place, example in enumerate(ORDER):
                members = x[groups[min(place // size, len(groups) - 1)]].reshape(-1, 8)
                centre, spread = members.mean(0), members.var(0, unbiased=False)
                y[example] = (x[example] - centre) / torch.sqrt(spread + 1e-5)
            return torch.stack(y) * p["batch_norm1.scale"] + p["batch_norm1.shift"]
        return run

    case("ghosts", affine("batch_norm"), ghosts(2))
    case("ghosts_left_over", affine("batch_norm"), ghosts(3))
    case("ghosts_too_large", affine("batch_norm"), ghosts(4))
    # the batch's order, which the ghosts depend on: the mean number of the examples in a row of two, and in the first three
    group.case("order", {}, lambda p, x, label: torch.tensor(
        [[sum(ORDER[ORDER.index(e) // 2 * 2 :][:2]) / 2, sum(ORDER[:3]) / 3] for e in range(EXAMPLES)],
        dtype=torch.float64))

    # ---- activations ----

    for name, function in (("relus", F.relu), ("sigmoids", torch.sigmoid), ("silus", F.silu), ("gelus", F.gelu),
                           ("gelus_tanh", lambda x: F.gelu(x, approximate="tanh")),
                           ("softmaxes", lambda x: F.softmax(x, -1)), ("log_softmaxes", lambda x: F.log_softmax(x, -1))):
        case(name, {}, lambda p, x, label, function=function: function(x))

    # ---- losses ----

    def flat(x):
        return x.reshape(-1, 8)

    case("crossed", {}, lambda p, x, label: F.cross_entropy(flat(x), label.reshape(-1)))
    case("crossed_smooth", {}, lambda p, x, label: F.cross_entropy(flat(x), label.reshape(-1), label_smoothing=0.1))
    case("crossed_soft", {}, lambda p, x, label: F.cross_entropy(
        flat(x), 0.75 * F.one_hot(label.reshape(-1), 8).double() + 0.25 / 8))
    case("crossed_binary", {}, lambda p, x, label: F.binary_cross_entropy_with_logits(
        x, (label.double() / CLASSES)[:, :, None].expand(-1, -1, 8)))
    case("squared", {}, lambda p, x, label: F.mse_loss(x, label[:, :, None].expand(-1, -1, 8).double()))

    # ---- tables and positions ----

    group.case("embedded", {"embedding1.weight": (CLASSES, 5)},
               lambda p, x, label: F.embedding(label, p["embedding1.weight"]))
    case("tied", {"table": (CLASSES, 8)},
         lambda p, x, label: (x + F.embedding(label, p["table"])) @ p["table"].T)
    case("placed", {"learned_positions1.weight": (6, 8)}, lambda p, x, label: x + p["learned_positions1.weight"])

    case("rotated", {}, lambda p, x, label: rotary(x))

    # ---- attention ----

    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    banded = (torch.arange(6)[:, None] - torch.arange(6)).abs() <= 2
    one = "multi_head_attention1."

    def attention(name, heads=2, **how):
        case(name, {}, lambda p, x, label: attend(p, one, x, x, heads, **how))

    attention("attending")
    attention("attending_causal", mask=causal)
    attention("attending_masked", mask=banded)
    attention("attending_both", mask=banded & causal)
    attention("attending_without_bias", mask=causal, bias=False)
    attention("attending_in_groups", heads=4, kv_heads=2, mask=causal)
    attention("attending_multi_query", heads=4, kv_heads=1)
    attention("attending_turned", mask=causal, turn=True)
    case("attending_across", {"context": (5, 3)},
         lambda p, x, label: attend(p, one, x, p["context"].expand(EXAMPLES, -1, -1), 2))
    case("blocks", {}, lambda p, x, label: transformer_block(p, "transformer_block1.", x, 2, 12, F.gelu, mask=causal))

    # ---- recurrence ----

    def gru(p, x, label):
        weights = [p["gru1.input"].T, p["gru1.hidden"].T, p["gru1.input_bias"], p["gru1.hidden_bias"]]
        first = torch.zeros(1, EXAMPLES, 5, dtype=torch.float64)
        return torch.gru(x, first, weights, True, 1, 0.0, False, False, True)[0]

    recurrent = {"gru1.input": (8, 15), "gru1.hidden": (5, 15), "gru1.input_bias": (15,), "gru1.hidden_bias": (15,)}
    case("recurrent", recurrent, gru)
    case("recurrent_last", recurrent, lambda p, x, label: gru(p, x, label)[:, -1])
    return group


def conv_norm(p, prefix, x, width, size=3, stride=1):
    """Convolution with "same" padding and batch norm by the statistics of the batch."""
    weight = p.at(prefix + "conv2d1.weight", size, size, x.shape[-1], width)
    y = F.conv2d(same(x, size, stride).permute(0, 3, 1, 2), turned(weight), stride=stride)
    scale, shift = (p.at(prefix + "batch_norm1." + name, width) for name in ("scale", "shift"))
    return F.batch_norm(y, None, None, scale, shift, True).permute(0, 2, 3, 1)


def way_around(p, prefix, x, width, stride):
    if stride == 1 and x.shape[-1] == width:
        return x
    return conv_norm(p, prefix + "way_around1.conv_norm1.", x, width, 1, stride)


def residual_block(p, prefix, x, width, stride):
    y = F.relu(conv_norm(p, prefix + "conv_norm1.", x, width, stride=stride))
    y = conv_norm(p, prefix + "conv_norm2.", y, width)
    return F.relu(way_around(p, prefix, x, width, stride) + y)


def bottleneck_block(p, prefix, x, width, stride):
    y = F.relu(conv_norm(p, prefix + "conv_norm1.", x, width, 1))
    y = F.relu(conv_norm(p, prefix + "conv_norm2.", y, width, stride=stride))
    y = conv_norm(p, prefix + "conv_norm3.", y, 4 * width, 1)
    return F.relu(way_around(p, prefix, x, 4 * width, stride) + y)


def resnet(p, x, block, blocks, width):
    y = F.relu(conv_norm(p, "resnet1.conv_norm1.", x, width))
    number = 0
    for stage in range(3):
        for at in range(blocks):
            number += 1
            prefix = "resnet1.%s%d." % (block.__name__, number)
            y = block(p, prefix, y, width * 2**stage, 2 if stage > 0 and at == 0 else 1)
    return dense(p, "resnet1.dense1", y.mean((1, 2)), 3)


def all_models():
    """Whole models, small."""
    group = Group("all_models", 192)

    def case(name, function):
        group.case(name, {}, lambda p, x, label: function(p, image(x, 8, 8, 3) + p.at("shift", 8, 8, 3), label))

    def mlp(p, x, label):
        h = F.relu(dense(p, "mlp1.dense1", x.reshape(EXAMPLES, -1), 5))
        return dense(p, "mlp1.dense3", F.relu(dense(p, "mlp1.dense2", h, 5)), 3)

    def vit(p, x, label):
        y = conv2d(x, p.at("vit1.conv2d1.weight", 4, 4, 3, 8), stride=4) + p.at("vit1.conv2d1.bias", 8)
        y = y.reshape(EXAMPLES, 4, 8) + p.at("vit1.learned_positions1.weight", 4, 8)
        for number in (1, 2):
            y = transformer_block(p, "vit1.transformer_block%d." % number, y, 2, 12, F.gelu)
        return dense(p, "vit1.dense1", layer_norm(p, "vit1.layer_norm1", y).mean(1), 3)

    def gpt(p, x, label):
        table = p.at("gpt1.table", CLASSES, 8)
        h = F.embedding(label, table) + p.at("gpt1.learned_positions1.weight", STEPS, 8)
        causal = torch.ones(STEPS, STEPS, dtype=torch.bool).tril()
        for number in (1, 2):
            h = transformer_block(p, "gpt1.transformer_block%d." % number, h, 2, 12,
                                  lambda y: F.gelu(y, approximate="tanh"), causal)
        return layer_norm(p, "gpt1.layer_norm1", h) @ table.T

    case("perceptron", mlp)
    case("residual", lambda p, x, label: resnet(p, x, residual_block, 1, 2))
    case("residual_deeper", lambda p, x, label: resnet(p, x, residual_block, 2, 2))
    case("bottlenecks", lambda p, x, label: resnet(p, x, bottleneck_block, 1, 2))
    case("patches", vit)
    group.case("language", {}, gpt)
    return group


# ---- optimizers ----


class Path:
    """w and what is seen of it after each step."""

    def __init__(self):
        self.w = torch.tensor(1.5 * numpy.cos(1.3 * numpy.arange(12)).reshape(3, 4), requires_grad=True)
        self.seen = []

    def gradient(self, w):
        return (w**3 + 0.3 * torch.cos(w)).detach()

    def look(self, w):
        line = w.detach().reshape(-1)
        at = torch.arange(12).double()
        self.seen.append([(line * torch.cos(at)).sum().item(), (line * torch.sin(at)).sum().item()])


def by_torch(kind, **how):
    path = Path()
    optimizer = kind([path.w], **how)
    for _ in range(20):
        path.w.grad = path.gradient(path.w)
        optimizer.step()
        path.look(path.w)
    return path.seen


def by_formula(rule):
    """rule: w, gradient, state (a dictionary), t from 1 -> the new w, or that and what is evaluated."""
    path, state = Path(), {}
    w = path.w.detach()
    for t in range(1, 21):
        w = rule(w, path.gradient(w), state, t)
        path.look(state.get("evaluated", w))
    return path.seen


def moments(g, state, beta1, beta2, t):
    """Corrected for their start."""
    state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
    return state["m"] / (1 - beta1**t), state["v"] / (1 - beta2**t)


def rmsprop(w, g, state, t):  # the Playbook's: the moment starts at 1, epsilon within the root
    state["v"] = 0.95 * state.get("v", 1) + 0.05 * g * g
    state["m"] = 0.8 * state.get("m", 0) + 0.05 * g / torch.sqrt(state["v"] + 1e-3)
    return w - state["m"]


def nadam(w, g, state, t):  # the Playbook's: Adam with the next step's mean, corrected as Adam's
    moments(g, state, 0.85, 0.97, t)
    step = math.sqrt(1 - 0.97**t) / (1 - 0.85**t)
    return w - 0.05 * step * (0.85 * state["m"] + 0.15 * g) / (state["v"].sqrt() + 1e-8)


def lion(w, g, state, t):
    m = state.get("m", torch.zeros_like(w))
    state["m"] = 0.97 * m + 0.03 * g
    return w - 0.05 * (torch.sign(0.85 * m + 0.15 * g) + 0.1 * w)


def lamb(w, g, state, t):
    m, v = moments(g, state, 0.85, 0.97, t)
    r = m / (v.sqrt() + 1e-6) + 0.1 * w
    return w - 0.05 * w.norm() / r.norm() * r


def adafactor(w, g, state, t):
    keep = 1 - t**-0.8
    square = g * g + 1e-30
    state["rows"] = keep * state.get("rows", 0) + (1 - keep) * square.sum(1)
    state["columns"] = keep * state.get("columns", 0) + (1 - keep) * square.sum(0)
    u = g / (torch.outer(state["rows"], state["columns"]) / state["rows"].sum()).sqrt()
    return w - 0.05 * u / max(1, (u * u).mean().sqrt().item())


def muon(w, g, state, t):
    state["m"] = 0.95 * state.get("m", 0) + g
    x = g + 0.95 * state["m"]
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return w - 0.05 * (max(1, w.shape[1] / w.shape[0]) ** 0.5 * x + 0.1 * w)


def schedule_free(y, g, state, t):
    state.setdefault("z", y)
    state.setdefault("evaluated", y)
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    rate = 0.05 * math.sqrt(1 - 0.999**t) * min(1, t / 5)
    state["z"] = state["z"] - rate * (g / (state["v"].sqrt() + 1e-8) + 0.1 * y)
    state["total"] = state.get("total", 0) + rate**2
    share = rate**2 / state["total"]
    state["evaluated"] = (1 - share) * state["evaluated"] + share * state["z"]
    return 0.1 * state["z"] + 0.9 * state["evaluated"]


class Optimizers:
    def files(self):
        rules = (rmsprop, nadam, lion, lamb, adafactor, muon, schedule_free)
        paths = {rule.__name__: by_formula(rule) for rule in rules}
        paths["sgd"] = by_torch(torch.optim.SGD, lr=0.05)
        paths["momentum"] = by_torch(torch.optim.SGD, lr=0.05, momentum=0.8)
        paths["nesterov"] = by_torch(torch.optim.SGD, lr=0.05, momentum=0.8, nesterov=True)
        # Without epsilon: the Playbook adds it before the correction of the second moment, PyTorch behind it.
        betas = {"lr": 0.05, "betas": (0.85, 0.97), "eps": 0}
        paths["adam"] = by_torch(torch.optim.Adam, **betas)
        paths["adamw"] = by_torch(torch.optim.AdamW, weight_decay=0.1, **betas)
        paths["adagrad"] = by_torch(torch.optim.Adagrad, lr=0.05)
        return {"reference": {name + " path": numpy.array(path) for name, path in paths.items()}}


def optimizers():
    return Optimizers()


# ---- the command ----

GROUPS = (convolutions, layers, all_models, optimizers)


def differ(path, tensors):
    """What of the kept file is not what was made; products in another order may differ a little."""
    kept = read_safetensors(path)
    for name in sorted(set(kept) | set(tensors)):
        if name not in kept or name not in tensors:
            yield name + " is in only one of both"
        elif kept[name].shape != tensors[name].shape:
            yield name + " has another shape"
        elif not numpy.allclose(kept[name], tensors[name], rtol=1e-11, atol=1e-11):
            yield name + " has other values"


def main(check):
    failures = 0
    for make in GROUPS:
        for kind, tensors in make().files().items():
            path = os.path.join(FOLDER, "%s.%s.safetensors" % (make.__name__, kind))
            if not check:
                write_safetensors(path, tensors)
                continue
            for text in differ(path, tensors):
                failures += 1
                print("FAILED: %s: %s" % (os.path.basename(path), text))
    if check:
        print("%d groups made again, %d differences" % (len(GROUPS), failures))
    return failures > 0


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    sys.exit(main("--check" in sys.argv[1:]))
