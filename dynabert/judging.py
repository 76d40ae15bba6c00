"""How a supernet is judged while it trains: a few of its sub-networks on the search split.

Left out: scoring them all, which for a dozen of them would take as long as learning.
"""

from collections.abc import Sequence

from ..encoders.extraction import extract
from ..networks.subnet import SubnetConfig
from ..tasks.batches import EncodedSplit
from ..tasks.evaluation import evaluate
from ..tasks.scores import Evaluation
from ..tasks.task import Task
from ..training.best import Judge
from .supernet import Supernet


def probe_networks(configs: Sequence[SubnetConfig]) -> tuple[SubnetConfig, ...]:
    """The largest, a middle and the smallest of a stage's sub-networks, fewer where it has fewer.

    Args:
        configs: The stage's sub-networks, the largest first and the smallest last.
    """
    return tuple(dict.fromkeys((configs[0], configs[len(configs) // 2], configs[-1])))


def judge_of(
    supernet: Supernet, configs: Sequence[SubnetConfig], search: EncodedSplit, task: Task
) -> Judge:
    """What scores a stage's probe networks, each as the dense network that it would be.

    Args:
        supernet: What learns.
        configs: As for `probe_networks`.
        search: The tokenised search split.
        task: Names the metric.
    """

    def judge() -> dict[str, Evaluation]:
        return {
            config.key: evaluate(
                extract(supernet.model, config), search, task=task, split="search"
            )
            for config in probe_networks(configs)
        }

    return judge
