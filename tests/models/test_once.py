"""What is looked at once is looked at again whenever it can have changed."""

from threading import Thread

from torch import nn

from radiolucent.models.once import look_again, looked_at_once, once
from radiolucent.models.per_network import structure_of
from radiolucent.models.settings import noting_what_moves, settings_of


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.factor = nn.Linear(2, 2), 1.0


def test_it_is_looked_at_once_inside_and_anew_outside() -> None:
    network, looks = Net(), list[nn.Module]()
    with looked_at_once():
        for _ in range(3):
            once("looks", network, looks.append)
        with looked_at_once():
            once("looks", network, looks.append)
        assert len(looks) == 1
        once("looks", Net(), looks.append)
        assert len(looks) == 2
        look_again()
        once("looks", network, looks.append)
        assert len(looks) == 3
    once("looks", network, looks.append)
    once("looks", network, looks.append)
    assert len(looks) == 5


def test_structure_and_settings_are_seen_again() -> None:
    network = Net()
    with looked_at_once():
        structure, settings = structure_of(network), settings_of(network)
        network.factor, network.more = 2.0, nn.ReLU()
        assert (structure_of(network), settings_of(network)) == (structure, settings)
        look_again()
        assert structure_of(network) != structure
        assert settings_of(network) != settings


def test_what_moves_as_the_network_runs_is_looked_at_again() -> None:
    network = Net()
    with looked_at_once():
        before = settings_of(network)
        with noting_what_moves(network):
            network.factor = 3.0
        assert settings_of(network) != before  # it is left out now
    network.factor = 4.0
    moved = settings_of(network)
    network.factor = 5.0
    assert settings_of(network) == moved


def test_another_thread_looks_for_itself() -> None:
    network, found = Net(), list[int]()
    with looked_at_once():
        before = structure_of(network)
        network.more = nn.ReLU()
        thread = Thread(target=lambda: found.append(structure_of(network)))
        thread.start()
        thread.join()
        assert found[0] != before == structure_of(network)
