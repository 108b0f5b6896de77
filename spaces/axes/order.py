"""The five axes, in the order of compression."""

from spaces.axes.distillation import Distillation
from spaces.axes.pruning import Pruning
from spaces.axes.quantization import Quantization
from spaces.axes.student import Student
from spaces.axes.training import Training
from spaces.method import Method

AXES: tuple[type[Method], ...] = (Student, Training, Distillation, Pruning, Quantization)
