"""What a world spends its time in, compiled: normal numbers by address, and Euler's step.

Loops run over worlds innermost, where they lie side by side, and functions such as tanh are sums and products of our own: the
compiler takes several worlds at a time by the same operations in the same order as one, so that a world's numbers don't depend
on how many live with it. (A library's vector functions round otherwise than its scalar ones.) Nothing may be reordered or
contracted, so there is no ``fastmath`` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LOG2_E, LN2_HIGH, LN2_LOW = 1.4426950408889634, 0.6931471803691238, 1.9082149292705877e-10
LN_2, SQRT_HALF = 0.6931471805599453, 0.7071067811865476
FURTHEST = 20.0  # beyond it tanh is 1 to the last bit
MASK, FACTOR_A, FACTOR_B = 0xFFFFFFFF, 0xD2511F53, 0xCD9E8D57
STEP_A, STEP_B = 0x9E3779B9, 0xBB67AE85
WORD, HALF_WORD = 32, 2**29
TURN = 2 * np.pi * 2.0**-32


@njit(cache=True, error_model="numpy")
def exp(x: float) -> float:
    """e to a power of at most 700 in size, within 2 units in the last place: 2 to a whole power times Taylor's sum of the rest."""
    k = np.floor(x * LOG2_E + 0.5)
    y = (x - k * LN2_HIGH) - k * LN2_LOW
    s = 1.0 / 6227020800.0
    s = s * y + 1.0 / 479001600.0
    s = s * y + 1.0 / 39916800.0
    s = s * y + 1.0 / 3628800.0
    s = s * y + 1.0 / 362880.0
    s = s * y + 1.0 / 40320.0
    s = s * y + 1.0 / 5040.0
    s = s * y + 1.0 / 720.0
    s = s * y + 1.0 / 120.0
    s = s * y + 1.0 / 24.0
    s = s * y + 1.0 / 6.0
    s = s * y + 0.5
    s = s * y + 1.0
    s = s * y + 1.0
    return s * np.int64((np.int64(k) + 1023) << 52).view(np.float64)


@njit(cache=True, error_model="numpy")
def tanh(x: float) -> float:
    """The hyperbolic tangent, within 3e-16."""
    size = abs(x)
    size = size if size < FURTHEST else FURTHEST
    return np.copysign(1.0 - 2.0 / (exp(2.0 * size) + 1.0), x)


@njit(cache=True, error_model="numpy")
def _radius(word: int) -> float:
    """√(-2 ln u) of u = (word + ½) / 2^32, by the series of artanh."""
    u = (np.float64(np.int64(word)) + 0.5) * 2.0**-32
    bits = np.float64(u).view(np.int64)
    k = (bits >> 52) - 1023
    part = np.int64((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    high = part > 2.0 * SQRT_HALF
    part = 0.5 * part if high else part
    k = k + 1 if high else k
    s = (part - 1.0) / (part + 1.0)
    z = s * s
    t = 1.0 / 21.0
    t = t * z + 1.0 / 19.0
    t = t * z + 1.0 / 17.0
    t = t * z + 1.0 / 15.0
    t = t * z + 1.0 / 13.0
    t = t * z + 1.0 / 11.0
    t = t * z + 1.0 / 9.0
    t = t * z + 1.0 / 7.0
    t = t * z + 1.0 / 5.0
    t = t * z + 1.0 / 3.0
    log = 2.0 * s + 2.0 * s * z * t + np.float64(k) * LN_2
    return np.sqrt(-2.0 * log)


@njit(cache=True, error_model="numpy")
def _turned(word: int) -> tuple[float, float]:
    """Cosine and sine of 2π word / 2^32: the quarter in whole numbers, Taylor's sums within an eighth of a turn."""
    w = np.int64(word)
    quarter = (w + HALF_WORD) >> 30
    x = np.float64(w - (quarter << 30)) * TURN
    z = x * x
    s = 1.0 - z * (1.0 / 210.0)
    s = 1.0 - s * (z * (1.0 / 156.0))
    s = 1.0 - s * (z * (1.0 / 110.0))
    s = 1.0 - s * (z * (1.0 / 72.0))
    s = 1.0 - s * (z * (1.0 / 42.0))
    s = 1.0 - s * (z * (1.0 / 20.0))
    s = x * (1.0 - s * (z * (1.0 / 6.0)))
    c = 1.0 - z * (1.0 / 240.0)
    c = 1.0 - c * (z * (1.0 / 182.0))
    c = 1.0 - c * (z * (1.0 / 132.0))
    c = 1.0 - c * (z * (1.0 / 90.0))
    c = 1.0 - c * (z * (1.0 / 56.0))
    c = 1.0 - c * (z * (1.0 / 30.0))
    c = 1.0 - c * (z * (1.0 / 12.0))
    c = 1.0 - c * (z * 0.5)
    odd = (quarter & 1) == 1
    cosine, sine = (s if odd else c), (c if odd else s)
    cosine = -cosine if ((quarter + 1) & 2) == 2 else cosine
    sine = -sine if (quarter & 2) == 2 else sine
    return cosine, sine


@njit(nogil=True, cache=True, error_model="numpy")
def normals_at(
    low: int,
    high: int,
    stream: int,
    first: int,
    worlds: Int[np.ndarray, " w"],
    out: Float[np.ndarray, "steps n w"],
) -> None:
    """Fill with normal numbers by address; see `workbench.numerics.medusa.counters.normals`.

    Parameters
    ----------
    low, high : the seed's two words. first : number of the first step. out : (steps, n, w), C-contiguous.
    """
    steps, n, many = out.shape
    for t in range(steps):
        for quad in range((n + 3) // 4):
            left = min(4, n - 4 * quad)
            for w in range(many):
                a, b = np.uint64(quad), np.uint64(first + t)
                c, d = np.uint64(worlds[w]), np.uint64(stream)
                x, y = np.uint64(low), np.uint64(high)
                for _ in range(10):
                    over_a, over_c = np.uint64(FACTOR_A) * a, np.uint64(FACTOR_B) * c
                    a = (over_c >> np.uint64(WORD)) ^ b ^ x
                    c = (over_a >> np.uint64(WORD)) ^ d ^ y
                    b, d = over_c & np.uint64(MASK), over_a & np.uint64(MASK)
                    x = (x + np.uint64(STEP_A)) & np.uint64(MASK)
                    y = (y + np.uint64(STEP_B)) & np.uint64(MASK)
                radius, other = _radius(a), _radius(c)
                cosine, sine = _turned(b)
                cosine_2, sine_2 = _turned(d)
                out[t, 4 * quad, w] = radius * cosine
                if left > 1:
                    out[t, 4 * quad + 1, w] = radius * sine
                if left > 2:
                    out[t, 4 * quad + 2, w] = other * cosine_2
                if left > 3:
                    out[t, 4 * quad + 3, w] = other * sine_2


@njit(nogil=True, cache=True, error_model="numpy")
def summed(
    starts: Int[np.ndarray, " n+1"],
    of: Int[np.ndarray, " m"],
    weights: Float[np.ndarray, " m"],
    x: Float[np.ndarray, "k w"],
    out: Float[np.ndarray, "n w"],
) -> None:
    """Sum along edges, each node its own in their order; node i's are those from ``starts[i]`` to ``starts[i + 1]``."""
    for i in range(len(starts) - 1):
        for w in range(x.shape[1]):
            out[i, w] = 0.0
        for e in range(starts[i], starts[i + 1]):
            for w in range(x.shape[1]):
                out[i, w] += weights[e] * x[of[e], w]


@njit(nogil=True, cache=True, error_model="numpy")
def looked(
    starts: Int[np.ndarray, " k+1"],
    of: Int[np.ndarray, " m"],
    weights: Float[np.ndarray, " m"],
    aspects: Int[np.ndarray, " k"],
    x: Float[np.ndarray, "n w"],
    was: Float[np.ndarray, "n w"],
    h: float,
    beyond: Float[np.ndarray, " n"],
    out: Float[np.ndarray, "k w"],
) -> None:
    """Sum what heads see along their edges; see `workbench.numerics.medusa.aspects.filtered`, in whose order aspects are numbered."""
    for i in range(len(starts) - 1):
        aspect = aspects[i]
        for w in range(x.shape[1]):
            out[i, w] = 0.0
        for e in range(starts[i], starts[i + 1]):
            weight, now, before, far = weights[e], x[of[e]], was[of[e]], beyond[of[e]]
            if aspect == 0:
                for w in range(x.shape[1]):
                    out[i, w] += weight * now[w]
            elif aspect == 1:
                for w in range(x.shape[1]):
                    out[i, w] += weight * ((now[w] - before[w]) / h)
            elif aspect == 2:
                for w in range(x.shape[1]):
                    out[i, w] += weight * (now[w] - min(max(now[w], -far), far))
            else:
                for w in range(x.shape[1]):
                    out[i, w] += weight * (1.0 if abs(now[w]) > far else 0.0)


@njit(nogil=True, cache=True, error_model="numpy")
def advance(
    starts: Int[np.ndarray, " n+1"],
    of: Int[np.ndarray, " m"],
    weights: Float[np.ndarray, " m"],
    conducts: Float[np.ndarray, " m"],
    given: Float[np.ndarray, " n"],
    numbers: tuple[float, float, float, float, float, float, float, float, float],
    growing: bool,
    r: Float[np.ndarray, "n w"],
    q: Float[np.ndarray, "n w"],
    p: Float[np.ndarray, "n w"],
    u: Float[np.ndarray, "n w"],
    dw: Float[np.ndarray, "n w"],
    dv: Float[np.ndarray, "n w"],
    state: Float[np.ndarray, "3 n w"],
    largest: float,
) -> bool:
    """Take Euler's step of the rates and leapfrog's of the wave; say whether every number of r and q is within ``largest``.

    Parameters
    ----------
    numbers : h, c², γ h / 2, c² μ, σ, σ_p, κ, C, D. dv : without rows where σ_p = 0.
    state : where r, q and p go.
    """
    h, pull, held, holding, sigma, sigma_p, kappa, from_wave, to_wave = numbers
    n, many = r.shape
    carried, pulled, flow = np.empty(many), np.empty(many), np.empty(many)
    slowed, outside = 1.0 / (1.0 + held), 0
    for i in range(n):
        r_i, q_i, p_i, u_i, dw_i = r[i], q[i], p[i], u[i], dw[i]
        r_after, q_after, p_after = state[0, i], state[1, i], state[2, i]
        constant = given[i]
        for w in range(many):
            carried[w] = constant + from_wave * q_i[w] + u_i[w]
        if kappa:
            for w in range(many):
                pulled[w] = 0.0
            for e in range(starts[i], starts[i + 1]):
                r_j, q_j, weight, conduct = r[of[e]], q[of[e]], weights[e], conducts[e]
                for w in range(many):
                    flow[w] = exp(LN_2 * tanh(kappa * (r_i[w] * r_j[w])))
                for w in range(many):
                    carried[w] += weight * r_j[w] * flow[w]
                for w in range(many):
                    pulled[w] += conduct * (q_j[w] - q_i[w]) * flow[w]
        else:
            leaves = 0.0
            for e in range(starts[i], starts[i + 1]):
                leaves += conducts[e]
            for w in range(many):
                pulled[w] = -leaves * q_i[w]
            for e in range(starts[i], starts[i + 1]):
                r_j, q_j, weight, conduct = r[of[e]], q[of[e]], weights[e], conducts[e]
                for w in range(many):
                    carried[w] += weight * r_j[w]
                for w in range(many):
                    pulled[w] += conduct * q_j[w]
        if growing:
            for w in range(many):
                flow[w] = sigma * np.sqrt(1.0 + r_i[w] * r_i[w]) * dw_i[w]
        else:
            for w in range(many):
                flow[w] = sigma * dw_i[w]
        for w in range(many):
            r_after[w] = r_i[w] + h * (tanh(carried[w]) - r_i[w]) + flow[w]
        for w in range(many):
            force = h * (pull * pulled[w] - holding * q_i[w] + to_wave * r_i[w])
            p_after[w] = ((1.0 - held) * p_i[w] + force) * slowed
        if sigma_p:
            dv_i = dv[i]
            for w in range(many):
                p_after[w] += sigma_p * dv_i[w] * slowed
        for w in range(many):
            q_after[w] = q_i[w] + h * p_after[w]
        for w in range(many):
            outside |= 0 if (abs(r_after[w]) <= largest) & (abs(q_after[w]) <= largest) else 1
    return outside == 0
