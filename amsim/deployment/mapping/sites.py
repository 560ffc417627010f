"""Sites: products of a weight with data, in the one form that macros compute."""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from amsim.circuits.contract.products import ConvolutionProduct, DenseProduct, Product
from amsim.circuits.contract.windows import WindowAxis
from amsim.circuits.contract.work import Work
from amsim.circuits.selection.value_range import ValueRange
from amsim.deployment.mapping.layouts import ConvolutionLayout, DenseLayout
from amsim.deployment.tracing.inner_products import products_inside
from amsim.deployment.tracing.steps import Step, Value


class UnmappableError(Exception):
    """A product of a weight with data has a form that no macro takes; the text is the reason."""


class Site(NamedTuple):
    """One product of the network, and how its operands map to rows and columns.

    Attributes:
        name: Module path of the weight.
        step: The operation.
        product: The product in macro form.
        weight_operand: Which operand is the weight, 0 or 1.
        layout: Conversions between the operation's own layout and the macro's.
    """

    name: str
    step: Step
    product: Product
    weight_operand: int
    layout: DenseLayout | ConvolutionLayout

    @property
    def weight(self) -> Value:
        """The weight operand."""
        return self.step.inputs[self.weight_operand]

    @property
    def data(self) -> Value:
        """The input operand."""
        return self.step.inputs[1 - self.weight_operand]

    def fixed_range(self, value: Value) -> ValueRange:
        """What the program fixes of an operand, whatever its data and parameters: all of its range but a grid's factor.

        Args:
            value: Which of its operands.
        """
        if value.quantised is None:
            return value.range
        by_element = math.prod(value.quantised.factor.shape) != 1
        return value.range if by_element and self.layout.members else value.quantised.words

    @property
    def members(self) -> int:
        """Products of equal shape, each with its own weight, that one run computes along the batch axes."""
        return math.prod(self.layout.members)

    @property
    def vectors(self) -> int:
        """Output vectors of one product of a run, over all inferences."""
        return math.prod(self.step.outputs[0].shape) // max(self.product.columns * self.members, 1)

    def work(self, inferences: int) -> Work:
        """Counts per inference when one run holds `inferences` of them."""
        return Work(
            product=self.product.unpadded,
            positions=max(self.vectors // inferences, 1),
            input_words=max(self.layout.words_read(self.data.shape) // max(inferences * self.members, 1), 1),
            window_fetches=self.layout.window_fetches,
        )


def weight_operand(step: Step) -> int | None:
    """Index of the operand that is a weight while the other depends on data; None for any other product."""
    for index in (1, 0):
        if step.inputs[index].is_weight and step.inputs[1 - index].data:
            return index
    return None


def loaded_operand(step: Step) -> int | None:
    """Index of the operand of a product of two activations that a macro loads as weights; None for other products.

    The second, unless only that one is known not to be negative: inputs have an unsigned code, weights do not.
    """
    operands = step.inputs[:2]
    if not all(value.data for value in operands):
        return None
    first, second = (value.range.low is not None and value.range.low >= 0 for value in operands)
    return 0 if second and not first else 1


def chosen_operand(step: Step) -> int | None:
    """Index of the operand that is a choice among weights while the other depends on data; None otherwise."""
    for index in (1, 0):
        other = step.inputs[1 - index]
        if step.inputs[index].chosen and other.data and not other.chosen:
            return index
    return None


def weights_inside(step: Step, of_activations: bool = False) -> list[frozenset[int]]:
    """Parameter leaves of the weight of each product inside an operation.

    Args:
        step: The operation.
        of_activations: Whether products of two activations count too, with no leaves.
    """
    products = products_inside(step.equation, step.inputs, of_activations=of_activations)
    return [frozenset().union(*(step.inputs[index].params for index in weights)) for weights in products]


def site_of(name: str, step: Step, operand: int) -> Site:
    """The site of a product.

    Raises:
        UnmappableError: The product has a form that no macro takes.
    """
    if not jnp.issubdtype(step.dtype, jnp.floating):
        raise UnmappableError("its result is not floating point")
    if step.primitive == "ragged_dot_general":
        raise UnmappableError("data decide which of its weights each row takes")
    if 0 in step.inputs[operand].shape:
        raise UnmappableError("its weight has no elements")
    product, layout = _dense(step, operand) if step.primitive == "dot_general" else _convolution(step, operand)
    return Site(name, step, product, operand, layout)


def _dense(step: Step, operand: int) -> tuple[Product, DenseLayout]:
    summed, batch = step.equation.params["dimension_numbers"]
    weight_summed, input_summed = summed[operand], summed[1 - operand]
    weight_batch, input_batch = tuple(batch[operand]), tuple(batch[1 - operand])
    weight, data = step.inputs[operand].shape, step.inputs[1 - operand].shape
    weight_free = tuple(axis for axis in range(len(weight)) if axis not in (*weight_summed, *weight_batch))
    input_free = tuple(axis for axis in range(len(data)) if axis not in (*input_summed, *input_batch))
    column_shape = tuple(weight[axis] for axis in weight_free)
    product = DenseProduct(math.prod(weight[axis] for axis in weight_summed), math.prod(column_shape))
    return product, DenseLayout(
        input_batch=input_batch,
        weight_batch=weight_batch,
        members=tuple(weight[axis] for axis in weight_batch),
        input_free=input_free,
        input_summed=tuple(input_summed),
        weight_free=weight_free,
        weight_summed=tuple(weight_summed),
        weight_first=operand == 0,
        column_shape=column_shape,
    )


def _convolution(step: Step, operand: int) -> tuple[Product, ConvolutionLayout]:
    params: dict[str, Any] = step.equation.params
    if operand == 0:
        raise UnmappableError("its weight is the first operand, where the image belongs")
    if params["batch_group_count"] != 1:
        raise UnmappableError("it splits its batch into groups")
    numbers = params["dimension_numbers"]
    kernel_shape = step.inputs[1].shape
    kernel = tuple(kernel_shape[axis] for axis in numbers.rhs_spec[2:])
    strides = tuple(params["window_strides"])
    data = step.inputs[0].shape
    axes = zip(
        (data[axis] for axis in numbers.lhs_spec[2:]),
        kernel,
        strides,
        params["rhs_dilation"],
        ((int(low), int(high)) for low, high in params["padding"]),
        params["lhs_dilation"],
        strict=True,
    )
    layout = ConvolutionLayout(
        input_order=(numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]),
        kernel_order=(*numbers.rhs_spec[1:], numbers.rhs_spec[0]),
        result_order=(numbers.out_spec[0], *numbers.out_spec[2:], numbers.out_spec[1]),
        axes=tuple(WindowAxis(*axis) for axis in axes),
    )
    product = ConvolutionProduct(
        kernel=kernel,
        channels=kernel_shape[numbers.rhs_spec[1]],
        columns=kernel_shape[numbers.rhs_spec[0]],
        strides=strides,
        dilation=tuple(params["rhs_dilation"]),
        groups=params["feature_group_count"],
        padding=layout.product_padding,
    )
    return product, layout
