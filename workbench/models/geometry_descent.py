"""A descent of a compact GPT whose attention, optimizer and schedule have names."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval
from typing_extensions import Doc

from workbench.core.errors import ParameterError
from workbench.core.parameters import Few, Seed
from workbench.core.progress import track
from workbench.core.registry import source
from workbench.numerics.attention import MechanismName
from workbench.numerics.geometry.text import TextName
from workbench.numerics.initializers import InitializerName
from workbench.numerics.optimization import GeometryOptimizer
from workbench.numerics.reparametrizations import ReparametrizationName
from workbench.numerics.schedules import ScheduleName
from workbench.subjects.descents.trajectory import Trajectory

HELD_OUT = 32  # texts


@source
def geometry_descent(
    *,
    mechanism: Annotated[MechanismName, Doc("The kind of attention.")] = "standard",
    optimizer: Annotated[
        GeometryOptimizer,
        Doc("What makes the updates; hoss needs second derivatives, which reversible layers don't have."),
    ] = "adamw",
    schedule: Annotated[
        ScheduleName, Doc("How the rate changes: by steps, or by what they brought.")
    ] = "cosine",
    initializer: Annotated[
        InitializerName, Doc("What draws the weights, each with the same mean and deviation.")
    ] = "normal",
    reparametrization: Annotated[
        ReparametrizationName, Doc("What the weights of maps are made of; muon doesn't go with mup.")
    ] = "none",
    steps: Annotated[int, Interval(ge=1, le=5000), Few(3), Doc("Updates.")] = 150,
    width: Annotated[
        int, Interval(ge=8, le=1024), Few(16), Doc("Numbers of a position's state between layers.")
    ] = 64,
    layers: Annotated[int, Interval(ge=1, le=64), Few(2), Doc("Layers.")] = 2,
    heads: Annotated[int, Interval(ge=1, le=64), Few(2), Doc("Heads, which share the width.")] = 4,
    text: Annotated[
        TextName,
        Doc("What is read: a language of 16 letters that is drawn, or Shakespeare's plays, as bytes."),
    ] = "language",
    length: Annotated[int, Interval(ge=3, le=4096), Few(12), Doc("Letters of a text.")] = 64,
    texts: Annotated[int, Interval(ge=1, le=256), Few(2), Doc("Texts of an update, new ones each time.")] = 8,
    rate: Annotated[
        float, Interval(gt=0, le=100), Doc("Learning rate, as a multiple of the optimizer's own.")
    ] = 1.0,
    random_state: Seed = 0,
) -> Trajectory:
    """Train a compact GPT on texts of a language that is drawn, or on plays, and give its recorded descent.

    The probe is texts that weren't trained on: of the plays, pieces of two that are held out. Of the language no model goes below
    ``truth["bits"]`` bits a letter on average.
    ``truth["flops"]`` is what an update costs in matrix products, counted (`geometry.gpt.GPT.cost`), so that kinds are compared at
    equal cost and not at equal steps. Hessian products of ``hoss`` aren't in it.

    Raises
    ------
    ParameterError
        A width and heads that the kind of attention can't have, or an optimizer that it can't be trained with.
    """
    import numpy as np
    import torch

    from workbench.models._training import seeded
    from workbench.numerics.geometry.config import GeometryConfig
    from workbench.numerics.geometry.gpt import GPT
    from workbench.numerics.geometry.text import Language, text_of
    from workbench.numerics.geometry.training import refused, step
    from workbench.numerics.optimization import optimizer_of, rate_of
    from workbench.numerics.schedules import schedule_of
    from workbench.recording import record

    read, rng = text_of(text, random_state), np.random.default_rng([random_state, 1])
    try:
        config = GeometryConfig(
            mechanism=mechanism,
            width=width,
            layers=layers,
            heads=heads,
            vocabulary=read.vocabulary,
            initializer=initializer,
            reparametrization=reparametrization,
        )
    except ValueError as e:
        raise ParameterError(f"geometry_descent can't be built: {e}.") from None
    if why := refused(mechanism, optimizer, reparametrization):
        raise ParameterError(f"{why}.")
    held_out = torch.from_numpy(read.held_out(HELD_OUT, length, rng))
    with seeded(random_state):
        gpt = GPT(config)
        moving, pace = optimizer_of(optimizer, gpt, rate * rate_of(optimizer)), schedule_of(schedule, steps)
        rates = [group["lr"] for group in moving.param_groups]
        with record(
            gpt, moving, probe=(held_out, held_out), loss="next_token", name=f"{mechanism} geometry descent"
        ) as run:
            for _ in track(range(steps), f"training a GPT with {mechanism} attention"):
                for group, whole in zip(moving.param_groups, rates, strict=True):
                    group["lr"] = whole * pace.factor
                loss = step(gpt, moving, torch.from_numpy(read.written(texts, length, rng)))
                pace.observe(loss)
                run.log(loss=loss)
    gpt.eval()
    found: Trajectory = run.trajectory
    found.truth = {
        "flops": texts * gpt.cost(length, training=True).matrix,
        "parameters": sum(p.numel() for p in gpt.parameters()),
        **({"bits": read.bits} if isinstance(read, Language) else {}),
    }
    return found
