"""Fused minibatch training of multi-layer perceptrons on the CPU."""

from collections.abc import Sequence
import enum
from typing import Annotated

import numpy
from numpy.typing import NDArray


sources: str = ...

def usable_sets() -> list[str]:
    """Instruction sets that can run here, best first."""

def half_is_fast(isa: str = '') -> bool:
    """
    Whether the processor multiplies bfloat16 itself, so that bfloat16 pays.
    """

def peak(isa: str = '') -> float:
    """
    FLOP a second that one core's float32 multiply-adds reach at this moment.
    """

def evaluate(activation: Activation, parameter: float, z: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu', writable=False)], isa: str = '') -> tuple[Annotated[NDArray[numpy.float32], dict(order='C')], Annotated[NDArray[numpy.float32], dict(order='C')]]:
    """
    Values and slopes of an activation at z (n,), by the vector functions of an instruction set. Slopes of
    relu, leaky_relu and lwta come out as 0: the backward pass reads them off the values.
    """

def hadamard(rows: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], into: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu')], scale: float = 1.0, threads: int = 1, isa: str = '') -> None:
    """
    into = scale * rows @ H, both (count, n) with n a power of two: the Walsh-Hadamard transform of each row, H being
    Sylvester's matrix. `into` is `rows` itself or does not overlap it. The bits depend on neither `threads` nor `isa`;
    denormal numbers count as zero. Raises ValueError for anything else.
    """

def fastfood(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], units: int, scales: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], gaussians: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], signs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], order: Annotated[NDArray[numpy.int64], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 1, isa: str = '') -> Annotated[NDArray[numpy.float32], dict(order='C')]:
    """
    x (N, inputs) through blocks S H G P H B of n = 2^k >= inputs rows: (N, units). scales, gaussians, signs: the
    diagonals, (blocks, n). order (blocks, n), int64: which number P takes to each place. H is divided by sqrt(n).
    `threads` changes no bit. Raises ValueError for what does not fit together.
    """

def fastfood_gradient(x: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], errors: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], scales: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], gaussians: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], signs: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], order: Annotated[NDArray[numpy.int64], dict(shape=(None, None), order='C', device='cpu', writable=False)], threads: int = 1, isa: str = '') -> tuple[Annotated[NDArray[numpy.float32], dict(order='C')], Annotated[NDArray[numpy.float32], dict(order='C')]]:
    """
    From d loss / d outputs (N, units): the gradients of x and of scales, gaussians and signs, (blocks, 3, n). `threads`
    changes no bit.
    """

class Activation(enum.Enum):
    identity = 0

    relu = 1

    leaky_relu = 2

    sine = 3

    finer = 4

    gaussian = 5

    tanh = 6

    sigmoid = 7

    silu = 8

    gelu = 9

    lwta = 10

    prelu = 11

class Loss(enum.Enum):
    mse = 0

    l1 = 1

    half_square = 2

    cross_entropy = 3

class Method(enum.Enum):
    adam = 0

    sgd = 1

    muon = 2

class Precision(enum.Enum):
    """
    Of the operands of products. `bfloat16` leaves the first layer's in float32, `bfloat16_all` none.
    """

    float32 = 0

    bfloat16 = 1

    bfloat16_all = 2

class GridLevel:
    """Cells of one level; a hashed one shares entries."""

    def __init__(self, across: int, down: int, hashed: bool) -> None: ...

    @property
    def across(self) -> int: ...

    @across.setter
    def across(self, arg: int, /) -> None: ...

    @property
    def down(self) -> int: ...

    @down.setter
    def down(self, arg: int, /) -> None: ...

    @property
    def hashed(self) -> bool: ...

    @hashed.setter
    def hashed(self, arg: bool, /) -> None: ...

class GridSettings:
    """
    A table of entries of `features` floats, looked up bilinearly at points (x, y). The data are
    then points (N, 2), and `inputs` is levels * features.
    """

    @property
    def levels(self) -> list[GridLevel]:
        """None: no grid."""

    @levels.setter
    def levels(self, arg: Sequence[GridLevel], /) -> None: ...

    @property
    def features(self) -> int: ...

    @features.setter
    def features(self, arg: int, /) -> None: ...

    @property
    def log2_table(self) -> int:
        """Of the entries of a hashed level."""

    @log2_table.setter
    def log2_table(self, arg: int, /) -> None: ...

class Settings:
    """
    What a trainer is built for. Lists are copied both ways: assign them whole.
    """

    def __init__(self) -> None: ...

    @property
    def inputs(self) -> int: ...

    @inputs.setter
    def inputs(self, arg: int, /) -> None: ...

    @property
    def outputs(self) -> int: ...

    @outputs.setter
    def outputs(self, arg: int, /) -> None: ...

    @property
    def hidden(self) -> list[int]:
        """Width of each hidden layer; none: a linear map."""

    @hidden.setter
    def hidden(self, arg: Sequence[int], /) -> None: ...

    @property
    def grid(self) -> GridSettings: ...

    @grid.setter
    def grid(self, arg: GridSettings, /) -> None: ...

    @property
    def input_gradient(self) -> bool:
        """Whether `pullback` can give the gradient of the inputs."""

    @input_gradient.setter
    def input_gradient(self, arg: bool, /) -> None: ...

    @property
    def feedback(self) -> bool:
        """Errors go back by fixed matrices, see `set_feedback`."""

    @feedback.setter
    def feedback(self, arg: bool, /) -> None: ...

    @property
    def skip(self) -> bool:
        """Also a linear map without bias from inputs to outputs."""

    @skip.setter
    def skip(self, arg: bool, /) -> None: ...

    @property
    def activation(self) -> Activation: ...

    @activation.setter
    def activation(self, arg: Activation, /) -> None: ...

    @property
    def parameter(self) -> float:
        """
        Leaky ReLU: slope; sine, FINER: omega; Gaussian: scale; LWTA: units of a block, 2 or 4.
        """

    @parameter.setter
    def parameter(self, arg: float, /) -> None: ...

    @property
    def loss(self) -> Loss: ...

    @loss.setter
    def loss(self, arg: Loss, /) -> None: ...

    @property
    def smoothing(self) -> float:
        """Of cross-entropy, in [0, 1)."""

    @smoothing.setter
    def smoothing(self, arg: float, /) -> None: ...

    @property
    def method(self) -> Method: ...

    @method.setter
    def method(self, arg: Method, /) -> None: ...

    @property
    def first(self) -> float:
        """Adam's beta1; SGD's momentum."""

    @first.setter
    def first(self, arg: float, /) -> None: ...

    @property
    def second(self) -> float:
        """Adam's beta2."""

    @second.setter
    def second(self, arg: float, /) -> None: ...

    @property
    def epsilon(self) -> float: ...

    @epsilon.setter
    def epsilon(self, arg: float, /) -> None: ...

    @property
    def momentum(self) -> float:
        """Of Muon, on matrices between hidden layers."""

    @momentum.setter
    def momentum(self, arg: float, /) -> None: ...

    @property
    def auxiliary(self) -> float:
        """Muon: Adam's rate on all else, as a share of Muon's."""

    @auxiliary.setter
    def auxiliary(self, arg: float, /) -> None: ...

    @property
    def muon_steps(self) -> int:
        """Of Newton and Schulz."""

    @muon_steps.setter
    def muon_steps(self, arg: int, /) -> None: ...

    @property
    def muon_blocks(self) -> int:
        """Blocks of units, each made orthogonal by itself."""

    @muon_blocks.setter
    def muon_blocks(self, arg: int, /) -> None: ...

    @property
    def decay(self) -> float:
        """Adam: each step shrinks weights, not biases, by rate * decay."""

    @decay.setter
    def decay(self, arg: float, /) -> None: ...

    @property
    def dropped_inputs(self) -> float:
        """Share of the inputs, in [0, 1)."""

    @dropped_inputs.setter
    def dropped_inputs(self, arg: float, /) -> None: ...

    @property
    def dropped_hidden(self) -> float:
        """Share of the hidden units, in [0, 1)."""

    @dropped_hidden.setter
    def dropped_hidden(self, arg: float, /) -> None: ...

    @property
    def clip(self) -> float:
        """Largest norm of the whole gradient; 0 = no limit."""

    @clip.setter
    def clip(self, arg: float, /) -> None: ...

    @property
    def factors(self) -> list[float]:
        """Of the rate, one a matrix (hidden layers, readout, skip); none: all 1."""

    @factors.setter
    def factors(self, arg: Sequence[float], /) -> None: ...

    @property
    def precision(self) -> Precision: ...

    @precision.setter
    def precision(self, arg: Precision, /) -> None: ...

    @property
    def threads(self) -> int: ...

    @threads.setter
    def threads(self, arg: int, /) -> None: ...

    @property
    def chunk(self) -> int:
        """
        Rows a thread takes through the net at a time; 0 = by the size of the net.
        """

    @chunk.setter
    def chunk(self, arg: int, /) -> None: ...

    @property
    def isa(self) -> str:
        """Instruction set; "" = SFUMATO_ISA, else the best."""

    @isa.setter
    def isa(self, arg: str, /) -> None: ...

class Kind(enum.Enum):
    """Which of a trainer's arrays: parameters, or a moment of the optimizer."""

    values = 0

    first = 1

    second = 2

class Trainer:
    """
    A multi-layer perceptron in training. Arrays are float32, C-contiguous, in PyTorch's order:
    W0 (out, in), b0 (out,), W1, ..., readout, skip (out, in), table (entries, features) of the grid,
    slopes (units,) of each hidden layer (prelu).
    """

    def __init__(self, settings: Settings) -> None:
        """
        Settings are copied. Raises ValueError for anything that cannot be meant.
        """

    def set(self, kind: Kind, arrays: Sequence[Annotated[NDArray[numpy.float32], dict(order='C', device='cpu', writable=False)]]) -> None:
        """Set parameters or moments; moments that do not exist are left out."""

    def set_feedback(self, arrays: Sequence[Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]]) -> None:
        """
        Matrices (out, in) of the hidden layers behind the first and of the readout, by which errors go back in
        place of the weights; they never change. Needs `Settings.feedback`; until then they are 0.
        """

    def get(self, kind: Kind) -> list[Annotated[NDArray[numpy.float32], dict(order='C')]]:
        """Parameters or moments, copied; moments that do not exist are zeros."""

    @property
    def updates(self) -> int:
        """Steps so far; Adam's correction needs it."""

    @updates.setter
    def updates(self, arg: int, /) -> None: ...

    def set_data(self, features: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], targets: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> None:
        """Copy the training samples: (N, inputs) and (N, outputs)."""

    def advance(self, order: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], sizes: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)], rates: Annotated[NDArray[numpy.float64], dict(shape=(None,), order='C', device='cpu', writable=False)], losses: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu')], seeds: Annotated[NDArray[numpy.uint32], dict(shape=(None,), order='C', device='cpu', writable=False)] | None = None, errors: Annotated[NDArray[numpy.float32], dict(shape=(None,), order='C', device='cpu')] | None = None) -> None:
        """
        len(sizes) steps; step s trains on the next sizes[s] rows of `order` (int32) at rates[s] (float64).
        losses (float32): filled with each minibatch's loss before its update.
        seeds (uint32): of each step's dropout, as PyTorch's CPU generator takes them. errors (float32): filled with
        the loss of each row of `order` alone, before its step's update.
        """

    def gradient(self, rows: Annotated[NDArray[numpy.int32], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> tuple[float, list[Annotated[NDArray[numpy.float32], dict(order='C')]]]:
        """(loss, gradients) of one minibatch; changes nothing."""

    def pullback(self, features: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], errors: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], inputs: bool = False) -> tuple[list[Annotated[NDArray[numpy.float32], dict(order='C')]], Annotated[NDArray[numpy.float32], dict(order='C')] | None]:
        """
        (gradients, gradient of the features or None) from d loss / d outputs (N, outputs).
        """

    def predict(self, features: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)]) -> Annotated[NDArray[numpy.float32], dict(order='C')]:
        """(N, inputs) -> (N, outputs)."""

    def activations(self, layer: int, features: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order='C', device='cpu', writable=False)], pre: bool = False) -> Annotated[NDArray[numpy.float32], dict(order='C')]:
        """
        Hidden layer `layer` after, or before (pre), its activation: (N, width).
        """

    @property
    def isa(self) -> str: ...

    @property
    def half_is_fast(self) -> bool:
        """Whether the processor itself multiplies bfloat16."""

    @property
    def threads(self) -> int: ...

    @property
    def chunk(self) -> int: ...

    @property
    def work(self) -> tuple[float, float]:
        """
        (done, all): multiplications between hidden layers and into the readout so far, and how many it would
        have been with every unit. Silent units are skipped, but where SFUMATO_DENSE=1 is set.
        """

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(out, in) of each array, in 0 for a bias."""
