"""Images and labels: a few digits that come with the package, MNIST and CIFAR-10 on request.

`datasets` reads them, `download` finds, checks and fetches their files, and `tasks` names those
that experiments are made on.
"""

from regrob.data.datasets import Source, Task, cifar10, default_source, mnist, one_versus_seven, ten_classes
from regrob.data.tasks import TASKS

__all__ = [
    "TASKS", "Source", "Task", "cifar10", "default_source", "mnist", "one_versus_seven", "ten_classes",
]  # fmt: skip
