"""The frozen text encoder on onnxruntime: the same vectors as by encoder.py, without torch; or by weights of 8 bits.

The graph is written here from the encoder's own files, `config.json` and `model.safetensors`, in a second: torch is
needed neither to make it nor to run it. It knows encoders of the type BERT (Devlin et al. 2019, arXiv 1810.04805), by
the operators that onnxruntime would fuse them to.

int8: the two wide layers of each block, most of the work, are rounded to 8 bits: weights each output by its own step,
what enters by the range that it has just then (dynamic quantisation: Krishnamoorthi 2018, arXiv 1806.08342). One wide
figure would take the steps from all others, so each is divided by how large it may be, as the weights before it say,
and the weights are multiplied by it (after Xiao et al. 2023, 'SmoothQuant', arXiv 2211.10438).
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.tasks.errors import InputError
from labelwise.tasks.learners.devices import CPU
from labelwise.tasks.learners.encoder import PACKAGED, path_of, share_unknown, steps

NEEDS = ("onnx", "onnxruntime", "tokenizers")
UNKNOWN = "[UNK]"  # what stands in a tokenizer of this type for what it does not know
KNOWN = "bert"  # the `model_type` whose graph is written here
OPSET, MICROSOFT = 18, "com.microsoft"  # its operators are part of onnxruntime for CPUs
FORMAT = 9  # of the file: the newest that onnxruntime 1.17 and later read
FAR, TINY = 3.0, 1e-6  # standard deviations that figures reach
LEAST = 0.17  # what GELU gives at least reaches so far below zero
STEPS = 127.0  # on either side of zero that 8 bits have

FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")  # of an encoder, all it needs

Floats = NDArray[np.float32]


def reads(name: str) -> bool:
    """Whether the encoder is one whose graph is written here: the packaged one, or a folder."""
    folder = Path(path_of(name))
    if not all((folder / file).is_file() for file in FILES):
        return False
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return bool(config.get("model_type") == KNOWN and config.get("hidden_act") == "gelu")


class Encoder:
    """A frozen encoder of texts, as `encoder.Encoder`. name: the packaged model or a folder; quantised: int8; graph:
    the file of its graph, as `written` has it; None: it is written."""

    def __init__(self, name: str, max_tokens: int, quantised: bool = False, graph: Path | None = None) -> None:
        import onnxruntime
        from safetensors import SafetensorError
        from tokenizers import Tokenizer

        folder = Path(path_of(name))
        try:
            config = config_of(folder)
            self.tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
            said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
            made = str(graph) if graph else graph_of(name, quantised)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(
                f"encoder {name!r} cannot run on onnxruntime",
                expected=f"{PACKAGED} (packaged) or a folder with an encoder of the type BERT and its tokenizer.json",
                got=f"{type(error).__name__}: {error}".splitlines()[0][:160],
                fix="let torch run it",
            ) from None
        self.width = int(config["hidden_size"])
        limit = int(said.get("model_max_length") or config["max_position_embeddings"])
        self.max_tokens = min(max_tokens, config["max_position_embeddings"], limit)
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.max_tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)  # 0: one a core
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others use this machine, too
        self.session = onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])

    def encode(self, texts: list[str], progress: Callable[[int], None] = lambda _done: None, /) -> Floats:
        """(n,) texts -> (n, d) vectors of unit length. `progress` is told how many more texts are done."""
        tokens = [row.ids for row in self.tokenizer.encode_batch(texts)]
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for rows in steps([len(ids) for ids in tokens], CPU.tokens) if texts else ():
            lengths = np.array([len(tokens[row]) for row in rows], np.int32)
            ids = np.zeros((len(rows), lengths.max()), np.int32)
            for at, row in enumerate(rows):
                ids[at, : lengths[at]] = tokens[row]
            (states,) = self.session.run(["states"], {"ids": ids, "lengths": lengths})
            vectors[rows] = pooled(states, lengths)
            progress(len(rows))
        return vectors

    def unknown(self, texts: list[str]) -> Floats:
        """See `encoder.Encoder.unknown`."""
        rows = [row.ids for row in self.tokenizer.encode_batch(texts, add_special_tokens=False)]
        mark = self.tokenizer.token_to_id(UNKNOWN)
        return share_unknown(rows, self.tokenizer.get_vocab(), -1 if mark is None else mark)


def config_of(folder: Path) -> dict[str, Any]:
    """What an encoder says of itself. ValueError where it is none whose graph is written here."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != KNOWN or config.get("hidden_act") != "gelu":
        raise ValueError(f"its type is {config.get('model_type')}, with {config.get('hidden_act')}")
    return config


def graph_of(name: str, quantised: bool) -> bytes:
    """The graph of the packaged encoder or of that in a folder, see `written`."""
    from safetensors.numpy import load_file

    folder = Path(path_of(name))
    return written(config_of(folder), load_file(folder / "model.safetensors"), quantised)


def pooled(states: Floats, lengths: NDArray[np.int32]) -> Floats:
    """(b, t, d) token states -> (b, d) the means of those before the (b,) lengths, scaled to unit length."""
    mask = np.arange(states.shape[1]) < lengths[:, None]
    means = np.einsum("btd,bt->bd", states, mask.astype(np.float32)) / lengths[:, None]
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12), np.float32)


@dataclass
class Graph:
    """The nodes and weights of a graph as they are added."""

    quantised: bool
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def weight(self, name: str, values: NDArray[Any]) -> str:
        """The name of a weight with these values."""
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, operator: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """The name of what an operator gives."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def linear(self, name: str, entering: str, weights: Floats, reach: Floats | None = None) -> str:
        """(b, t, i) times (o, i) weights. reach: (i,) how large what enters may be; None: nothing is rounded."""
        if not self.quantised or reach is None:
            return self.add("MatMul", [entering, self.weight(f"{name}.w", weights.T)], name)
        even = self.add("Mul", [entering, self.weight(f"{name}.even", 1 / reach)], f"{name}.entering")
        rounded, step = rounded_to_bytes(weights * reach)
        inputs = [even, self.weight(f"{name}.w", rounded.T), self.weight(f"{name}.step", step)]
        return self.add("DynamicQuantizeMatMul", inputs, name, MICROSOFT)


def rounded_to_bytes(weights: Floats) -> tuple[NDArray[np.int8], Floats]:
    """(o, i) weights -> the nearest of the steps that 8 bits have for each output, and the (o,) steps.

    >>> rounded_to_bytes(np.array([[127.0, -63.6], [0.0, 0.0]], np.float32))[0].tolist()
    [[127, -64], [0, 0]]
    """
    step = np.maximum(np.abs(weights).max(axis=1), np.finfo(np.float32).tiny) / STEPS
    return np.rint(weights / step[:, None]).astype(np.int8), step.astype(np.float32)


def written(config: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], quantised: bool = False) -> bytes:
    """The graph of an encoder of the type BERT: (b, t) ids and (b,) lengths of texts, int32 -> (b, t, d) states.
    KeyError where a weight is missing."""
    from onnx import TensorProto, helper

    own = {name.removeprefix("bert."): values.astype(np.float32) for name, values in tensors.items()}
    graph, epsilon, heads = Graph(quantised), float(config["layer_norm_eps"]), int(config["num_attention_heads"])

    def both(name: str) -> tuple[Floats, Floats]:
        return own[f"{name}.weight"], own[f"{name}.bias"]

    def normed(name: str) -> list[str]:
        weight, bias = both(name)
        return [graph.weight(f"{name}.weight", weight), graph.weight(f"{name}.bias", bias)]

    def joined(name: str, entering: str, beside: str, places: str, reach: Floats | None = None) -> str:
        """What a layer gives, added to what stood beside it, of mean 0 and variance 1 for each token."""
        weight, bias = both(f"{places}.dense")
        inputs = [graph.linear(f"{name}.product", entering, weight, reach), beside, *normed(f"{places}.LayerNorm")]
        inputs.append(graph.weight(f"{name}.bias", bias))
        return graph.add("SkipLayerNormalization", inputs, name, MICROSOFT, epsilon=epsilon)

    tables = (own[f"embeddings.{each}_embeddings.weight"] for each in ("word", "position", "token_type"))
    words, positions, types = tables
    first = graph.weight("first", np.zeros(1, np.int64))
    graph.add("Shape", ["ids"], "count", start=1)
    graph.add("Slice", [graph.weight("positions", positions + types[0]), first, "count"], "places")
    graph.add("Gather", [graph.weight("words", words), "ids"], "words.read")
    graph.add("Add", ["words.read", "places"], "placed")
    states = graph.add("LayerNormalization", ["placed", *normed("embeddings.LayerNorm")], "embedded", epsilon=epsilon)
    for at in range(int(config["num_hidden_layers"])):
        layer = f"encoder.layer.{at}"
        parts = [both(f"{layer}.attention.self.{each}") for each in ("query", "key", "value")]
        weights, biases = (np.concatenate(each) for each in zip(*parts, strict=True))
        inputs = [states, graph.weight(f"{at}.w", weights.T), graph.weight(f"{at}.b", biases), "lengths"]
        seen = graph.add("Attention", inputs, f"{at}.attention", MICROSOFT, num_heads=heads)
        states = joined(f"{at}.seen", seen, states, f"{layer}.attention.output")
        weight, bias = both(f"{layer}.intermediate.dense")
        spread, middle = both(f"{layer}.attention.output.LayerNorm")
        reach = FAR * np.abs(spread) + np.abs(middle)
        wide = graph.linear(f"{at}.wide", states, weight, np.maximum(reach, TINY))
        reach = weight @ middle + bias + FAR * np.linalg.norm(weight * spread, axis=1)
        active = graph.add("BiasGelu", [wide, graph.weight(f"{at}.wide.bias", bias)], f"{at}.active", MICROSOFT)
        states = joined(f"{at}.states", active, states, f"{layer}.output", np.maximum(reach, LEAST))
    graph.nodes[-1].output[0] = "states"
    entering = [helper.make_tensor_value_info("ids", TensorProto.INT32, ["b", "t"])]
    entering.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["b"]))
    leaving = [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", "t", int(config["hidden_size"])])]
    whole = helper.make_graph(graph.nodes, "encoder", entering, leaving, graph.weights)
    versions = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    model: bytes = helper.make_model(whole, opset_imports=versions, ir_version=FORMAT).SerializeToString()
    return model
