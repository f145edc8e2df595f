"""What a network's plans.json and dataset.json say, checked against what this package supports.

nnU-Net's own classes read both files and build the network; here stands what is refused and why, in one line each,
before a tensor is allocated.
"""

import pydoc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from nnunetv2.preprocessing import normalization
from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from dixonflow.errors import ModelError
from dixonflow.imaging.types import Spacing
from dixonflow.system.documents import one_line

Shape = tuple[int, int, int]

_UNETS = "dynamic_network_architectures.architectures.unet"
_RESAMPLING = "resample_data_or_seg_to_shape"
_RESAMPLING_KEYWORDS = {"is_seg", "order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
_MAX_CLASSES = 65536
_MAX_NUMBER = 65536
"""Largest whole number in the description of a network: features, sizes of kernels, classes."""
_MAX_LAYERS = 1000
"""Largest sum of a list of numbers of blocks, and most entries of any list."""
_DAMAGE = (
    *(ValueError, TypeError, AttributeError, AssertionError, RuntimeError, LookupError, ArithmeticError),
    *(RecursionError, ImportError, pydoc.ErrorDuringImport),
)
"""What nnU-Net raises for plans that are not as its planner writes them."""


@dataclass(frozen=True)
class Architecture:
    """A network as its plans describe it.

    Attributes
    ----------
    plans, configuration
        nnU-Net's own views of plans.json.
    channels
        Number of input images.
    classes
        Number of scores a voxel gets; class i is label i.
    patch_size
        Voxels along the network's axes, which are the plans' transposed (z, y, x).
    spacing_mm
        Voxel size that the network was trained on, same axes.
    """

    plans: PlansManager
    configuration: ConfigurationManager
    channels: int
    classes: int
    patch_size: Shape
    spacing_mm: Spacing

    def build(self) -> nn.Module:
        """Build the network without deep supervision, in evaluation mode, weights not yet set."""
        configuration = self.configuration
        network: nn.Module = get_network_from_plans(
            _network_class_name(configuration.network_arch_class_name),
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
            self.channels,
            self.classes,
            allow_init=False,
            deep_supervision=False,
        )
        return network.eval().requires_grad_(False)

    def separate_axis(self, what: Literal["data", "probabilities"], old: Spacing, new: Spacing) -> int | None:
        """Axis along which nnU-Net resamples by nearest neighbour, because voxels are much thicker there; or none.

        Parameters
        ----------
        what
            Images and scores have their own settings in the plans.
        old, new
            Voxel sizes (mm) that are resampled from and to, on the network's axes.
        """
        settings = self.configuration.configuration[f"resampling_fn_{what}_kwargs"]
        names = {"separate_z_anisotropy_threshold"} & set(settings)
        separate, axis = determine_do_sep_z_and_axis(
            settings.get("force_separate_z", False), old, new, **{name: settings[name] for name in names}
        )
        return int(axis) if separate else None


def read_architecture(plans: dict[str, Any], dataset: dict[str, Any], configuration_name: str) -> Architecture:
    """Check plans and dataset description and say what network they mean.

    Parameters
    ----------
    plans, dataset
        Content of plans.json and dataset.json.
    configuration_name
        The configuration of the plans that was trained, `3d_fullres` for instance.

    Raises
    ------
    ModelError
        If something is missing or contradictory, or asks for what is not supported: 2D and cascaded networks,
        region-based labels, other preprocessors and resampling functions than nnU-Net's default.
    """
    try:
        plans_manager = PlansManager(plans)
        configuration = plans_manager.get_configuration(configuration_name)
        _check_images(plans_manager, configuration)
        _check_architecture_names(configuration)
        classes = _count_classes(plans_manager, dataset)
        channels = determine_num_input_channels(plans_manager, configuration, dataset)
        _check_normalisation(plans_manager, configuration, channels)
        a, b, c = (int(size) for size in configuration.patch_size)
        spacing_a, spacing_b, spacing_c = (float(size) for size in configuration.spacing)
    except ModelError:
        raise
    except KeyError as error:
        raise ModelError(f"plans.json or dataset.json lacks the entry {one_line(error)}") from error
    except _DAMAGE as error:
        raise ModelError(f"plans.json or dataset.json cannot be used: {one_line(error)}") from error
    return Architecture(plans_manager, configuration, channels, classes, (a, b, c), (spacing_a, spacing_b, spacing_c))


def _check_images(plans: PlansManager, configuration: ConfigurationManager) -> None:
    forward, backward = list(plans.transpose_forward), list(plans.transpose_backward)
    if sorted(forward) != [0, 1, 2] or [forward[i] for i in backward] != [0, 1, 2]:
        raise ModelError("plans.json: transpose_forward and transpose_backward do not undo each other in three axes")
    if configuration.previous_stage_name is not None:
        raise ModelError("cascaded networks are not supported (the configuration has a previous_stage)")
    if len(configuration.patch_size) != 3 or len(configuration.spacing) != 3:
        raise ModelError("2D networks are not supported (patch_size and spacing must have three entries)")
    if min(configuration.patch_size) < 1 or not all(0 < value < float("inf") for value in configuration.spacing):
        raise ModelError("plans.json: patch_size and spacing must be positive")
    if configuration.preprocessor_name != "DefaultPreprocessor":
        raise ModelError(f"preprocessor {configuration.preprocessor_name!r} is not supported, only DefaultPreprocessor")
    for what, order in (("data", 3), ("probabilities", 1)):
        name = configuration.configuration[f"resampling_fn_{what}"]
        keywords = configuration.configuration[f"resampling_fn_{what}_kwargs"]
        if name != _RESAMPLING or set(keywords) - _RESAMPLING_KEYWORDS or keywords.get("is_seg", False):
            raise ModelError(f"resampling_fn_{what} {one_line(name)!r} with {one_line(keywords)} is not supported")
        if keywords.get("order", 3) != order or keywords.get("order_z", 0) != 0:
            raise ModelError(
                f"resampling_fn_{what}: only order {order} and order_z 0 are supported, not {one_line(keywords)}"
            )


def _check_architecture_names(configuration: ConfigurationManager) -> None:
    # nnU-Net imports and calls whatever these strings name, so a foreign plans.json could run any code: by way of the
    # modules that torch's modules import, a name that begins with torch.nn reaches all of Python.
    class_name = configuration.network_arch_class_name
    if not class_name.startswith("dynamic_network_architectures.") or not _network_class_name(class_name):
        raise ModelError(f"network class {one_line(class_name)!r} is not supported")
    keywords: Mapping[str, Any] = configuration.network_arch_init_kwargs
    _check_extent(keywords)
    for key in configuration.network_arch_init_kwargs_req_import:
        name = keywords[key]
        if name is not None and not _is_layer(name, ("torch.nn.", "dynamic_network_architectures.")):
            shown = f"{one_line(key)} {one_line(name)!r}"
            raise ModelError(f"plans.json: {shown} is not a layer of torch.nn or dynamic_network_architectures")


def _is_layer(name: Any, packages: tuple[str, ...]) -> bool:
    """Whether a name is that of a class of layers or networks, defined in one of these packages."""
    if not isinstance(name, str) or not name.startswith(packages):
        return False
    found = pydoc.locate(name)
    return isinstance(found, type) and issubclass(found, nn.Module) and found.__module__.startswith(packages)


def _check_extent(value: Any, name: str = "") -> None:
    """Refuse networks that would take hours to build."""
    items = list(value.items()) if isinstance(value, dict) else [(name, item) for item in value]
    counts = [item for key, item in items if isinstance(item, int) and str(key).startswith("n_")]
    if len(items) > _MAX_LAYERS or sum(counts) > _MAX_LAYERS:
        raise ModelError("plans.json describes a network with implausibly many layers")
    for key, item in items:
        if isinstance(item, int | float) and abs(item) > _MAX_NUMBER:
            raise ModelError(f"plans.json: {one_line(key)} {one_line(item)} is implausibly large for a network")
        if isinstance(item, dict | list | tuple):
            _check_extent(item, str(key))


def _network_class_name(name: str) -> str | None:
    """Where a network's class is today: plans of older nnU-Nets name modules that have been joined since.

    nnU-Net itself would search all modules of the package, of which one needs torchvision.
    """
    candidates = (name, f"{_UNETS}.{name.rpartition('.')[2]}")
    return next((known for known in candidates if _is_layer(known, ("dynamic_network_architectures.",))), None)


def _count_classes(plans: PlansManager, dataset: dict[str, Any]) -> int:
    if plans.plans.get("label_manager", "LabelManager") != "LabelManager":
        raise ModelError(f"label manager {plans.plans['label_manager']!r} is not supported, only LabelManager")
    labels = plans.get_label_manager(dataset)
    if labels.has_regions:
        raise ModelError("region-based labels (several ids for one name in dataset.json) are not supported")
    # voxels of the ignore label were left out of training: the network has no class for them (VIBESegmentator's)
    ids = [int(label) for label in labels.all_labels]
    if ids != list(range(len(ids))) or len(dataset["labels"]) - int(labels.has_ignore_label) != len(ids):
        raise ModelError("labels of dataset.json must be 0, 1, 2 ... without gaps, each once")
    if not 2 <= len(ids) <= _MAX_CLASSES:
        raise ModelError(f"dataset.json has {len(ids)} labels, not between 2 and {_MAX_CLASSES}")
    return len(ids)


def _check_normalisation(plans: PlansManager, configuration: ConfigurationManager, channels: int) -> None:
    if len(configuration.normalization_schemes) != channels or len(configuration.use_mask_for_norm) != channels:
        raise ModelError(f"plans.json must have normalization_schemes and use_mask_for_norm for {channels} channels")
    for channel, scheme in enumerate(configuration.normalization_schemes):
        if normalization_class(scheme) is None:
            raise ModelError(f"normalization scheme {scheme!r} is unknown to nnU-Net")
        plans.foreground_intensity_properties_per_channel[str(channel)]


def normalization_class(scheme: str) -> Any:
    """nnU-Net's class for a normalization scheme of the plans; None where it has none of this name."""
    return recursive_find_python_class(normalization.__path__[0], scheme, "nnunetv2.preprocessing.normalization")


def one_tensor_per_parameter(
    network: nn.Module, tensors: Mapping[str, torch.Tensor], origin: str
) -> dict[str, torch.Tensor]:
    """Match named tensors with a network's parameters, strictly, and drop the names that mean the same parameter.

    nnU-Net's networks reach most parameters by several names (a decoder holds its encoder, a block its convolution
    twice). A file needs each once.

    Parameters
    ----------
    network
        What the tensors are for.
    tensors
        At least one name for each parameter and buffer, none that the network does not have.
    origin
        The file, for messages.

    Returns
    -------
    dict
        The first name of each parameter and its tensor.

    Raises
    ------
    ModelError
        If a name is missing or unknown, a shape or kind of number differs, a value is not finite, or two names of one
        parameter have different values.
    """
    groups: dict[int, list[str]] = {}
    wanted: dict[str, torch.Tensor] = network.state_dict(keep_vars=True)
    for name, tensor in wanted.items():
        groups.setdefault(id(tensor), []).append(name)
    unknown = sorted(set(tensors) - set(wanted))
    if unknown:
        raise ModelError(f"{origin}: {len(unknown)} tensors do not belong to this network, for example {unknown[0]!r}")
    result: dict[str, torch.Tensor] = {}
    for names in groups.values():
        present = [name for name in names if name in tensors]
        if not present:
            raise ModelError(f"{origin}: the tensor {names[0]!r} is missing")
        tensor, parameter = tensors[present[0]], wanted[names[0]]
        if tensor.shape != parameter.shape:
            raise ModelError(
                f"{origin}: {present[0]!r} has shape {tuple(tensor.shape)}, the network {tuple(parameter.shape)}"
            )
        if tensor.is_floating_point() != parameter.is_floating_point():
            raise ModelError(f"{origin}: {present[0]!r} holds {tensor.dtype}, the network {parameter.dtype}")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{origin}: {present[0]!r} holds values that are not finite")
        if any(not torch.equal(tensor, tensors[name]) for name in present[1:]):
            raise ModelError(f"{origin}: {present[0]!r} and its other names hold different values")
        result[names[0]] = tensor
    return result


def set_weights(network: nn.Module, tensors: Mapping[str, torch.Tensor], origin: str) -> None:
    """Put stored tensors into a network, strictly. float16 becomes the network's float32.

    Raises
    ------
    ModelError
        As `one_tensor_per_parameter`.
    """
    stored = one_tensor_per_parameter(network, tensors, origin)
    names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items() if name in stored}
    full = {name: stored[names[id(tensor)]] for name, tensor in network.state_dict(keep_vars=True).items()}
    network.load_state_dict(full, strict=True)
