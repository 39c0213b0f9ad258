"""Write the greedy soup: a network is taken into the mean only where a held-out score does not fall."""

from collections.abc import Callable, Sequence

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


def greedy_soup(networks: Sequence[np.ndarray], score: Callable[[np.ndarray], float]) -> np.ndarray:
    ordered = sorted(networks, key=score, reverse=True)
    soup, taken = ordered[0], 1
    best = score(soup)
    for network in ordered[1:]:
        trial = soup + (network - soup) / (taken + 1)
        if (found := score(trial)) >= best:
            soup, taken, best = trial, taken + 1, found
    return soup


PLACES = [np.array(place) for place in ([3.0, 0.0], [-1.0, 0.5], [1.0, 0.5], [0.0, -1.5], [9.0, 9.0])]


def height(weights: np.ndarray) -> float:
    return -float(np.sum(np.asarray(weights) ** 2))


def one_alone(answer: Answer) -> None:
    """One network is its own soup."""
    matches(answer(PLACES[:1], height), PLACES[0], "Of one network the mean is that network.")


def nothing_bad(answer: Answer) -> None:
    """A network that makes the mean worse is left out."""
    got = answer([PLACES[1], PLACES[4]], height)
    differs(got, (PLACES[1] + PLACES[4]) / 2, "The second network makes the mean worse, and was taken in all the same.")
    matches(got, PLACES[1], "Where the only other network makes things worse, the best one is the soup.")


def equal_shares(answer: Answer) -> None:
    """All that were taken have equal shares, and the best came first."""
    want = greedy_soup(PLACES, height)
    halves = ((PLACES[1] + PLACES[2]) / 2 + PLACES[3]) / 2
    got = answer(PLACES, height)
    differs(got, halves, "The third network has half of the soup. With m networks in it, the next one gets 1/(m + 1).")
    unsorted = (PLACES[0] + PLACES[1] + PLACES[3]) / 3
    differs(got, unsorted, "The networks were taken in the order in which they came. Sort them by their scores first.")
    matches(got, want, "The right networks, in equal shares? Best first; keep the mean of those taken, (10.2).")


def takes_ties(answer: Answer) -> None:
    """A network that leaves the score as it was is taken in."""
    network = [np.array([1.0]), np.array([3.0])]
    got = answer(network, lambda weights: 0.0)
    matches(got, [2.0], "Where the score stays what it was, the network is taken: the card says no lower.")


EXERCISE = Exercise(
    place=4,
    title="A greedy soup",
    difficulty="hard",
    minutes=45,
    expects="a function of (networks, score) that returns an array",
    solution=greedy_soup,
    why="A running mean with a gate. The held-out set is used many times over, so what it says of the soup tends to be "
    "too good: report on pictures that chose nothing. A greedy soup earns its keep where some candidates are bad, such "
    "as the early networks of a run. In each of six runs of the chapter that were tried, it beat the plain mean of all "
    "twenty networks clearly, and that of the last ten by little.",
    checks=[one_alone, nothing_bad, equal_shares, takes_ties],
)
