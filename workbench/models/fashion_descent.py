"""A descent on Fashion-MNIST: clothes classified by a perceptron or a small convolutional network, trained and recorded."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import FormatError, MissingError
from workbench.core.parameters import Few, Seed
from workbench.core.registry import source
from workbench.models._training import LearningRate, OptimizerName
from workbench.subjects.descents.trajectory import Trajectory

if TYPE_CHECKING:
    import torch
    from jaxtyping import UInt8

DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # where the package dataset-fashion-mnist puts it
FILES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
PROBE = 512
TYPE_OF_BYTES = 8  # in an IDX file's header


@source
def fashion_descent(
    *,
    network: Annotated[
        Literal["perceptron", "convolutional"],
        Doc("Linear layers with ReLU, or two convolutions with pooling and a linear layer."),
    ] = "perceptron",
    width: Annotated[
        int, Interval(ge=1, le=256), Doc("Units of each hidden layer, or channels of the first convolution.")
    ] = 32,
    depth: Annotated[
        int, Interval(ge=1, le=6), Doc("Hidden layers of the perceptron; the convolutional network has two.")
    ] = 2,
    images: Annotated[
        int,
        Interval(ge=10, le=50_000),
        Doc("Images to train on, drawn by the seed; the probe is 512 others."),
    ] = 2000,
    steps: Annotated[int, Interval(ge=1, le=1000), Few(10), Doc("Updates.")] = 150,
    learning_rate: LearningRate = 1e-3,
    optimizer: Annotated[
        OptimizerName, Doc("What makes the updates; momentum is SGD with momentum 0.9.")
    ] = "adam",
    batch_size: Annotated[int, Interval(ge=1, le=1024), Doc("Images a step, drawn with replacement.")] = 64,
    folder: Annotated[
        str,
        Doc("Folder with the data set's two training files; empty looks where Debian's package puts them."),
    ] = "",
    random_state: Seed = 0,
) -> Trajectory:
    """Train a classifier on Fashion-MNIST (28 × 28 pixels, ten kinds of clothes) and give its recorded descent.

    The data set isn't fetched: it is read from files that are there, as of Debian's package dataset-fashion-mnist. The
    optimizer's state and the images that are trained on are kept with the recording.

    Raises
    ------
    MissingError
        The files aren't there; how to get them is told.

    References
    ----------
    Xiao, Rasul and Vollgraf 2017, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms.
    """
    import torch

    from workbench.models._training import descend, optimizer_of, seeded
    from workbench.models.digits_descent import perceptron

    pixels, classes = (read_idx(Path(folder) if folder else DEBIAN, f) for f in FILES)
    with seeded(random_state):
        order = torch.randperm(len(pixels))[: images + PROBE].numpy()
        x = torch.from_numpy(pixels[order].astype(np.float32) / 255)
        y = torch.from_numpy(classes[order].astype(np.int64))
        if network == "perceptron":
            x, module = x.flatten(1), perceptron(x[0].numel(), [width] * depth, 10)
        else:
            x, module = x[:, None], convolutional(width)
        train, rest = slice(images), slice(images, None)

        def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
            chosen = torch.randint(images, (batch_size,))
            return x[chosen], y[chosen]

        return descend(
            module,
            optimizer_of(optimizer, module, learning_rate),
            batch,
            steps,
            loss="cross_entropy",
            probe=(x[rest], y[rest]),
            training=(x[train], y[train]),
            name="fashion descent",
            optimizer_state=True,
        )


def convolutional(width: int) -> torch.nn.Sequential:
    """Two convolutions of 3 × 3, each with ReLU and pooling, and a linear layer; (1, 28, 28) to 10."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Flatten(),
        nn.Linear(2 * width * 9, 10),
    )


def read_idx(folder: Path, name: str) -> UInt8[np.ndarray, "n ..."]:
    """Read an IDX file of bytes, compressed as it is distributed.

    Raises
    ------
    MissingError
        It isn't there.
    FormatError
        It is damaged, or holds something else than bytes.
    """
    path = folder / name
    if not path.is_file():
        raise MissingError(
            f"Fashion-MNIST isn't installed: there is no {name} in {folder}. Get it with: apt-get install "
            f"dataset-fashion-mnist, or put {' and '.join(FILES)} into a folder and name it with folder=."
        )
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as e:
        raise FormatError(f"{path} can't be read as a compressed file ({e}). Get it again.") from e
    axes = raw[3] if len(raw) > 3 else 0
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(axes))
    start = 4 + 4 * axes
    if raw[:3] != bytes([0, 0, TYPE_OF_BYTES]) or not axes or len(raw) - start != int(np.prod(shape)):
        raise FormatError(f"{path} is no IDX file of bytes, or not all of it is there. Get it again.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
