"""What a step asks of the device, operator by operator: a log of it, a count, and a stand-in for a CUDA graph."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HOST_READS = ("_local_scalar_dense", "nonzero", "masked_select", "unique")
MEMORY_ONLY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh",
               "promote_types")  # fmt: skip


class HostRead(RuntimeError):
    """A step asks for a value: on a GPU the host would wait for it, and a graph would not be recorded."""


class Dispatch(TorchDispatchMode):
    """Hands every operator that is called inside to `seen`, with its arguments and result, but for the profiler's."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator._schema.name.split("::")[1]
        if name in HOST_READS:
            raise HostRead(f"{operator} reads on the host")
        out = operator(*args, **(kwargs or {}))
        if operator.namespace != "profiler":
            self.seen(operator, name, args, kwargs or {}, out)
        return out


class Count(Dispatch):
    """How many operators work: `names` of all that neither make a view nor only memory."""

    def __init__(self):
        super().__init__()
        self.names = []

    def seen(self, operator, name, args, kwargs, out):
        returns = operator._schema.returns
        view = returns and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if not view and name not in MEMORY_ONLY:
            self.names.append(name)


class Log(Dispatch):
    """`lines`: operators with their numbers, shapes and strides, and which of the tensors `known` before they take."""

    def __init__(self, known):
        super().__init__()
        self.known = {t.untyped_storage().data_ptr(): i for i, t in enumerate(known)}
        self.lines = []

    def seen(self, operator, name, args, kwargs, out):
        self.lines.append(f"{operator} {tree_map(self.described, (args, kwargs))}")

    def described(self, x):
        if not torch.is_tensor(x):
            return repr(x)
        its = self.known.get(x.untyped_storage().data_ptr(), "new")
        return f"{its} {x.dtype} {tuple(x.shape)} {x.stride()} {x.storage_offset()}"


class Tape(Dispatch):
    """The operators of a step with their very tensors, as a CUDA graph keeps kernels with their addresses.

    A replay calls each again with the arguments of then, and puts what it makes where it was made then.
    """

    def __init__(self):
        super().__init__()
        self.calls = []

    def seen(self, operator, name, args, kwargs, out):
        self.calls.append((operator, args, kwargs, out))

    def replay(self):
        with torch.no_grad():
            for operator, args, kwargs, out in self.calls:
                given = {t.untyped_storage().data_ptr() for t in tensors((args, kwargs))}
                for then, now in zip(tensors(out), tensors(operator(*args, **kwargs))):
                    if then.untyped_storage().data_ptr() not in given:
                        then.copy_(now)


def tensors(tree):
    return [leaf for leaf in tree_leaves(tree) if torch.is_tensor(leaf)]
