"""What each kind of attention is about, in words, and what was looked for and not found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Idea:
    """A kind of attention in words.

    Attributes
    ----------
    title : of its tour. text : its idea, in paragraphs. pictures : what its pictures show. not_found : what was looked for and isn't
    so, or isn't known; of figures, where they were measured is said.
    """

    title: str
    text: str
    pictures: str
    not_found: str


IDEAS: Mapping[str, Idea] = {
    "standard": Idea(
        "Attention as compact GPTs have it",
        """Each letter asks all letters before it. How much it takes from each is the softmax of the products of its query with
their keys, and what it takes is the average of their values. Pairs of numbers of queries and keys are turned by an
angle that grows with the position (a rotary embedding), so that a score depends on how far back a letter lies and not
on where both are.

Queries and keys are normalized, the stream is normalized before each layer, and two maps with a squared ReLU between
them follow. This is what the other ten kinds are set beside.""",
        """From each letter (row) to each before it (column). The slider goes through training.""",
        "It is the measure of the others, so nothing is claimed of it but its definition.",
    ),
    "gauge": Idea(
        "Attention with parallel transport",
        """To compare vectors at two places of a curved surface, one has to carry one to the other along a path, and what arrives
depends on the path. Here the text is the path: each letter turns each block of four numbers by a rotation of its own,
and a key is compared with a query after it has been turned by all letters between them. The value that is found is
turned back the same way.

The rotation between two letters depends on the letters between them and on nothing else. The other order of
multiplication would let it depend on the whole past. A rotation of four numbers is a pair of unit quaternions,
multiplied in log₂ n passes and normalized in each, so that it stays a rotation after thousands of letters.

Where all angles are equal and constant this is a rotary embedding, which is how it begins; where they are zero, it is
attention without positions.""",
        """First by how many degrees a vector is turned between two letters. Were it a matter of distance alone, all cells of a
diagonal would be alike. Then the path on which a frame's first vector is carried (three of its four coordinates): the
slider is the letter that reads, and colour what it takes from each letter before.""",
        """A step takes several times as long as the standard one (`benchmarks/LOG_geometry.md`). That text has a curvature, in
the sense that transports along two paths differ in a way that helps to foretell it, wasn't asked.""",
    ),
    "ultrametric": Idea(
        "Attention by the leaves of a tree",
        """Each letter gets an address of a few digits, the largest of some numbers at each place. How much one letter takes from
another depends on how many leading digits of the query and the key agree: in a tree of digits, on how far up one has
to go to meet. Such distances are ultrametric: of the three sides of any triangle the two longest are equal.

Sums over all letters of one branch can be kept sorted, so that nothing of the size of letters times letters is ever
made, and time grows in proportion to the length. A digit is a hard choice, which has no slope; the probabilities of
chosen digits multiply what passes, as in a mixture of experts of which one answers, and so slopes reach queries and
keys.""",
        """The tree of the first digits, with the share of the text's letters under each node; the slider goes through training.
Then how many leading digits two letters share: blocks within blocks, once letters are sorted.""",
        """Sums over sorted letters in blocks of memory aren't causal to the last bit, so blocks begin where a branch does
(`benchmarks/LOG_geometry.md`). That learned trees mean anything, such as kinds of letters, wasn't found: it wasn't
tested.""",
    ),
    "tropical": Idea(
        "Attention in the algebra of maximum and plus",
        """In tropical algebra a sum is a maximum and a product a sum. Attention becomes: the largest, over letters before, of
the value less the distance of query and key. Distance is Hilbert's: the largest difference of their numbers less the
smallest. So one letter answers for each number, and it can be named.

A function made of maxima moves by no more than a known multiple of what moves it: 1 of values, 2 of queries, 2 of
keys, 5 of all together. So a winner that leads by some margin stays as long as nothing moves by more than a tenth of
it. That is a certificate: it holds for every change of that size and not only for those that were tried.""",
        """Which letter answers for each number of the first head: a bright cell is one far back; the slider goes through
training. Then the share of winners that their leads certify against a change of some size, and the share that stayed
in draws: the first can't be above the second.""",
        """The certificate is of one layer; what it says of a whole network isn't measured here. `workbench geometry certify`
says how sure the winners of each layer are. Comparisons of numbers aren't counted as operations of matrices, so that
an equal budget takes several times as long.""",
    ),
    "quaternion": Idea(
        "Attention of quaternions",
        """A quaternion is four numbers with a product that keeps lengths and doesn't commute. Weights are the softmax of
ordinary scores; but a value is first turned by its key, averaged with others, and then turned by the query: q Σ p (k*
v). So what a letter receives is a value seen from its own frame.

Since the product associates, the query can be taken out of the sum, and the whole costs hardly more than the standard
kind. If all queries, keys and values are multiplied by one unit quaternion from the left, so is what comes out;
positions multiply from the right, and so don't disturb that. With an ordinary rotary embedding it doesn't hold.""",
        """The imaginary parts of the keys' unit quaternions (first block), joined in the order of the text; the slider is the
letter that reads, and colour what it takes. Then sizes of products: quaternions keep the value's size to the last
digits, the same numbers multiplied one by one don't.""",
        """Equivariance under a factor from the left holds and is measured; that it helps on texts wasn't found.""",
    ),
    "octonion": Idea(
        "Attention of octonions",
        """An octonion is eight numbers with a product that keeps lengths, but neither commutes nor associates: (a b) c and a (b
c) differ. Attention here is Σ p (q k*) v, in this grouping. The other grouping is another function, and not a
rounding of this one.

Though products don't associate, a product of three is linear in the first, so that it has a matrix of 8 × 8 in the
query. These matrices are averaged, and the query is multiplied once: this equals the sum over all pairs to the last
digits of double precision.

Two octonions alone generate an algebra that associates, which is why a rotary embedding still gives scores that
depend on distance.""",
        """By how much the two groupings differ for each query and key, relative to the value: the slider goes through training.
Then sizes of products: octonions keep the value's size.""",
        """Octonions have no equivariance under a factor from the left as quaternions do: it was expected and isn't so. What
holds is an automorphism that fixes the rotary unit.""",
    ),
    "fractal": Idea(
        "Attention by words of a fractal",
        """A few maps that contract space, applied again and again, have a fractal of points that they take into itself. Each
point has an address: the word that says which map came first, which second. Queries and keys are distributions over
words; two letters meet as far as their distributions agree, summed over all words. Since letters of a word are drawn
apart, the sum is a product over places, and no word needs to be listed.

As a memory, fixed points of words hold the words themselves: a point alone says which word it is, under noise up to
half of the distance to the next point. To hold anything else one needs a table with a leaf for each word. That is a
product-key memory, and the fractal adds nothing to it but a drawing.""",
        """All words as points of a fractal (of maps that are drawn in three dimensions); the slider reads the text, and colour
is how likely the first head's key finds each word. Then the weights that come of it, through training.""",
        """Addresses in a plane overlap: of 256 words in two dimensions a third is decoded, by how maps happen to be drawn
(`benchmarks/LOG_geometry.md`). Nothing tells positions apart here but the order of reading.""",
    ),
    "braid": Idea(
        "A recurrence of exchanged strands",
        """There are no scores here. A state of a few strands is multiplied by an orthogonal matrix for each letter that is read,
and something is added. Exchanges of neighbouring strands are such matrices. Their products are all permutations, so
that a state can track, in principle, what no fixed number of layers of attention tracks at any length: which thing
lies where after many exchanges.

Exchanges keep relations: twice the same is nothing, σ₁σ₂σ₁ = σ₂σ₁σ₂, and those of distant strands commute. A penalty
on broken relations, on the states that are reached, is meant to pull learned matrices towards a group. Orthogonal
matrices are found by the iteration of Newton and Schulz.""",
        """The path of the first head's state in its three leading directions; the slider goes through the strands, and colour is
how much of the state is on each. Then how much the first letters' matrices break the relations of exchanges, through
training: this text has no such group, and nothing asks for relations, so that the figure has no reason to fall to
that of exchanges.""",
        """On a drawn language braid seemed to gain over the standard kind at 150 steps, and didn't at 600
(`benchmarks/LOG_geometry.md`). On this text matrices don't become exchanges by themselves. What is learned of groups
and brackets isn't measured here.""",
    ),
    "reversible": Idea(
        "Layers that can be run backwards",
        """Two streams take turns: the first gets what attention makes of the second, then the second gets what two maps make of
the first. Each step is undone by subtracting what was added. So training needn't keep what each layer read: it keeps
the end, and finds the rest again on the way back.

What is kept no longer grows with depth, at the price of computing layers once more: 4/3 of a step's operations.
Subtraction rounds; on a grid of whole multiples of 2⁻²⁰ it doesn't, and a layer is undone to the last bit.""",
        """First: bytes that are kept for the backward pass, by depth, of the standard kind and of this one. Second: how far the
undone streams are from the first ones; on the grid they are equal, and a logarithm has no place for 0. Then its
attention, which is the standard one, through training.""",
        """Speed: it was expected at 0.98 of the standard kind, and 0.67 was measured (`benchmarks/LOG_geometry.md`); layers are
computed again, and counting allows 0.75 at most. At equal counted operations what is computed again is paid in steps.
Second derivatives aren't there: such layers can't be trained with `hoss`.""",
    ),
    "simplicial": Idea(
        "Attention of pairs",
        """A letter doesn't ask letters one by one but two at once: a score of three vectors, Σ q k k', over a window of 32
letters for the first key and of 8 for the second. What it receives is the product of both values, number by number.
An edge of a graph joins two; a triangle joins three, and triangles with their edges are a simplicial complex.

Some questions are about three things and can't be cut into questions about two: whether some two letters before this
one add up to it. It is for these that pairs were proposed.""",
        """How much a letter takes from each pair of letters before it: the slider is the letter that reads. Then how much the
choice of one key says of the other, in bits, through training: where it is 0, weights are a product of two ordinary
ones, and pairs add nothing.""",
        """Scores of three aren't invariant under a rotary embedding, so that a learned bias says how far back a letter lies. On
a drawn language, whose letters depend on the last two, where pairs might have helped, no gain was shown
(`benchmarks/LOG_geometry.md`). Match3 against pairwise attention isn't measured here.""",
    ),
    "surreal": Idea(
        "Weights with sizes of their own",
        """Each row of each map is a direction, times e to a size of the row and of the whole map. So learning a direction and
learning a size are two things: the loss's slope by a direction is at right angles to it, exactly, and a step can't
shrink a row without meaning to.

The name comes from surreal numbers, in which sizes of quite different order stand beside each other. Here they are
what is left of it in practice: logarithms. It is weight normalization (2016) with one size more, and is set beside
the standard kind that has the same attention.""",
        """Sizes of rows in each map of the first layer, in order; the slider goes through training: at step 0 all rows of a map
are of one size. Then its attention, which is the standard one.""",
        """Sizes chosen by dominance in a truncated transseries aren't part of what is trained here. That sizes spread over
orders of magnitude by themselves wasn't found: the picture says how far they spread.""",
    ),
}
