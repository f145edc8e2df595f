"""The benchmarks, in the order in which they are run and listed."""

from collections.abc import Sequence

from benchmarks.backends import BackendBenchmark
from benchmarks.harness import Benchmark, FunctionBenchmark
from benchmarks.segment_memory import SegmentMemory
from benchmarks.segment_stage import SegmentBenchmark

BENCHMARKS: Sequence[Benchmark] = (
    FunctionBenchmark("components", "TotalSegmentator", "components", "ours", "totalsegmentator"),
    FunctionBenchmark("largest-components", "SimpleITK", "components", "ours_largest", "simpleitk"),
    FunctionBenchmark("volumes-and-means", "TotalSegmentator", "contrast_statistics", "ours", "totalsegmentator"),
    FunctionBenchmark("read-zip", "dcm2niix", "raw_reading", "ours", "dcm2niix"),
    FunctionBenchmark("read-zip-simpleitk", "SimpleITK", "raw_reading", "ours", "simpleitk"),
    FunctionBenchmark("read-dicom", "dcm2niix", "dicom_equality", "ours", "dcm2niix", repeats=1),
    FunctionBenchmark("stitch-nako", "TPTBox", "stitching", "ours", "tptbox", "prepare_nako"),
    FunctionBenchmark("stitch-ukb", "TPTBox", "stitching", "ours", "tptbox", "prepare_ukb"),
    FunctionBenchmark("cubic-float32", "nnunetv2", "cubic", "ours_single", "nnunet"),
    FunctionBenchmark("cubic-float64", "nnunetv2", "cubic", "ours_double", "nnunet"),
    FunctionBenchmark("cubic-float64-scipy", "scipy", "cubic", "ours_double", "scipy"),
    FunctionBenchmark("cubic-float64-skimage", "scikit-image", "cubic", "ours_double", "skimage"),
    FunctionBenchmark("linear-float32", "SimpleITK", "cubic", "ours_linear", "simpleitk_linear"),
    FunctionBenchmark("scores-to-labels", "nnunetv2", "scores", "ours", "nnunet"),
    FunctionBenchmark("scores-to-labels-noise", "nnunetv2", "scores", "ours", "nnunet", "prepare_noise"),
    BackendBenchmark("network-demo", "torch", "backends", "ours", "by_torch", "prepare_demo", clock="cpu"),
    BackendBenchmark("network-default", "torch", "backends", "ours", "by_torch", "prepare_default", clock="cpu"),
    FunctionBenchmark("dice", "panoptica", "agreement", "ours_without_surfaces", "panoptica_dice"),
    FunctionBenchmark("agreement", "panoptica", "agreement", "ours", "panoptica", repeats=1),
    FunctionBenchmark("surface-distances", "surface-distance", "agreement", "ours", "surface_distance", repeats=1),
    SegmentBenchmark("segment-outside-network", per_scan=False, repeats=3),
    SegmentBenchmark("segment-one-process-per-scan", per_scan=True, repeats=1),
    FunctionBenchmark("tail", None, "tail", "ours", clock="cpu"),
    FunctionBenchmark("checks", None, "quality_checks", "ours", clock="cpu"),
    SegmentMemory("segment-memory"),
)
