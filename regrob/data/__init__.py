"""Images and labels: a few digits that come with the package, MNIST and CIFAR-10 on request."""

from regrob.data.datasets import Source, Task, cifar10, default_source, mnist, one_versus_seven, ten_classes

__all__ = ["Source", "Task", "cifar10", "default_source", "mnist", "one_versus_seven", "ten_classes"]
