"""The mask predictor as the LLaDA authors publish it, and plain PyTorch for the same sums.

The model's own code, modeling_llada.py and configuration_llada.py, lies with the weights on Hugging
Face; `load` takes it from a folder of the caller's. Of `transformers` it uses base classes and a
result record only: where that library is missing, the few names it imports are put in its place, so
that PyTorch alone will do. Nothing of the published code is in this repository.
"""
import importlib.util
import json
import sys
import types
from pathlib import Path

import torch

import forward

MODEL_FILE, CONFIG_FILE = "modeling_llada.py", "configuration_llada.py"


class PlainConfig:
    """Keeps what it is given, as transformers' does."""

    def __init__(self, **values):
        self.use_return_dict = True
        self.__dict__.update(values)


class PlainModel(torch.nn.Module):
    def __init__(self, config, *_, **__):
        super().__init__()
        self.config = config

    @property
    def device(self):
        return next(self.parameters()).device


class Record(types.SimpleNamespace):
    """A result of named fields."""


class Registry:
    @staticmethod
    def register(*_, **__):
        pass


def stand_in():
    """Puts modules in the place of transformers, with the names that the published code imports."""
    names = {
        "transformers": {
            "PretrainedConfig": PlainConfig,
            "PreTrainedModel": PlainModel,
            "AutoConfig": Registry,
            "AutoModel": Registry,
            "AutoTokenizer": Registry,
        },
        "transformers.modeling_outputs": {"CausalLMOutputWithPast": Record},
        "transformers.models": {},
        "transformers.models.auto": {"AutoModel": Registry},
        "transformers.cache_utils": {"Cache": object},
    }
    for name, content in names.items():
        put(name, content)


def put(name, content):
    made = types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made


def is_missing(name):
    return name not in sys.modules and importlib.util.find_spec(name) is None


def ensure_imports():
    if is_missing("transformers"):
        stand_in()
    # generate.py takes a constant of it, nothing else.
    if is_missing("numpy"):
        put("numpy", {"inf": float("inf")})


def module(file, name):
    spec = importlib.util.spec_from_file_location(name, file)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def load(code, folder, dtype, device):
    """The published LLaDAModelLM of the folder `code` with the weights of the model `folder`."""
    ensure_imports()
    # The files import each other either as modules of one package or by their plain names.
    package = types.ModuleType("published_llada")
    package.__path__ = [str(code)]
    sys.modules["published_llada"] = package
    configuration = module(code / CONFIG_FILE, "published_llada.configuration_llada")
    sys.modules["configuration_llada"] = configuration
    modeling = module(code / MODEL_FILE, "published_llada.modeling_llada")
    raw = json.loads((folder / "config.json").read_text())
    config = configuration.LLaDAConfig(**raw)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        model = modeling.LLaDAModelLM(config)
    finally:
        torch.set_default_dtype(before)
    _, weights = forward.load(folder, dtype, "cpu")
    state = {f"model.transformer.{name}.weight": values for name, values in weights.items()}
    model.load_state_dict(state)
    return model.to(device).eval()


class PlainPredictor:
    """The same network by PyTorch's operations, called as the published one is: logits of every
    position, in the dtype of the weights."""

    def __init__(self, folder, dtype, device):
        self.config, self.weights = forward.load(folder, dtype, device)
        self.device = torch.device(device)
        self.by_length = {}

    def __call__(self, ids, attention_mask=None):
        return Record(logits=self.forward(ids, ids.shape[1]))

    def forward(self, ids, rows):
        tokens = ids.shape[1]
        if tokens not in self.by_length:
            self.by_length[tokens] = forward.MaskPredictor(
                self.config, self.weights, tokens, self.device
            )
        return self.by_length[tokens].forward(ids[0], rows)


def sampler(official):
    """`generate` of the caller's checkout of ML-GSAI/LLaDA."""
    ensure_imports()
    file = Path(official) / "generate.py"
    if not file.is_file():
        sys.exit(f"{file} is missing: --official names a checkout of ML-GSAI/LLaDA")
    return module(file, "official_generate").generate
