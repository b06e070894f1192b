"""fastlec.explain: the jobs of layers and networks, as they are planned and measured."""

import numpy as np
import pytest

import fastlec
from fastlec import Activation, AvgPool2d, Conv2d, Dense, Flatten, Layer, Network, explain
from fastlec._kernels.jobs import reason, table
from fastlec._kernels.plan import Plan


def small_network(dtype=np.float32):
    return Network(
        [
            Conv2d(1, 4, 3, "tanh", dtype=dtype, rng=1),
            AvgPool2d(2),
            Flatten(),
            Dense(36, 5, "identity", dtype=dtype, rng=1),
        ]
    )


def test_jobs_name_their_kernel_and_layer():
    jobs = explain(small_network(), (64, 1, 8, 8)).jobs
    assert [(job.layer, job.kernel) for job in jobs] == [
        ("0 Conv2d", "depthwise"),
        ("1 AvgPool2d", "pool"),
        ("3 Dense", "gemm_pack"),
        ("3 Dense", "gemm"),
    ]
    assert all(job.blocks > 0 and job.estimated_ns > 0 and job.measured_ns is None for job in jobs)
    assert "depthwise" in jobs[0].why
    assert jobs[3].why == "B packed: it lies by columns"


def test_the_way_back_is_shown_too():
    net = small_network()
    forward, both = explain(net, (64, 1, 8, 8)).jobs, explain(net, (64, 1, 8, 8), backward=True).jobs
    assert both[: len(forward)] == forward
    layers = [job.layer for job in both[len(forward) :]]
    assert layers == sorted(layers, reverse=True)
    assert {"0 Conv2d", "1 AvgPool2d", "3 Dense"} == set(layers)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_measured_jobs_leave_the_network_as_it_was(dtype):
    net = small_network(dtype)
    theta = net.theta.copy()
    found = explain(net, np.ones((8, 1, 8, 8), dtype), backward=True, measure=True)
    assert all(0 < job.measured_ns < 1e9 for job in found.jobs)
    assert found.dtype == dtype
    np.testing.assert_array_equal(net.theta, theta)


def test_conditional_jobs_show_their_condition():
    layer = Conv2d(64, 64, 3, padding=1, dtype=np.float32)
    jobs = explain(layer, (1, 64, 28, 28)).jobs
    conditions = [job.condition for job in jobs if job.condition]
    assert any(job.kernel == "winograd" for job in jobs)
    assert len(set(conditions)) == 2
    assert {job.layer for job in jobs} == {"Conv2d"}


def test_the_table_has_a_line_for_each_job():
    found = explain(small_network(), (64, 1, 8, 8), measure=True)
    lines = str(found).splitlines()
    assert len(lines) == 2 + len(found.jobs)
    assert lines[0] == f"4 jobs, float32, {fastlec.isa()}"
    assert lines[1].split() == ["layer", "kernel", "blocks", "estimated", "measured", "why"]
    for line, job in zip(lines[2:], found.jobs, strict=True):
        assert job.kernel in line
        assert job.layer in line


def test_plans_show_themselves(isa, dtype):
    plan = Plan(dtype.num)
    assert repr(plan).startswith(f"Plan of 0 jobs, {dtype}")
    layer = Dense(20, 300, dtype=dtype)
    layer._plan_forward(plan, np.zeros((50, 20), dtype), np.zeros((50, 300), dtype))
    assert repr(plan).splitlines()[0] == f"Plan of 2 jobs, {dtype}"
    assert [line.split()[0] for line in repr(plan).splitlines()[1:]] == ["kernel", "gemm_pack", "gemm"]


def test_reasons():
    assert reason("because") == "because"
    assert reason([(2500.0, b"images"), (1500.0, b"pixels")]) == "pixels 1.5 us; images 2.5 us"
    assert reason([(1500.0, b"pixels")]) == "pixels 1.5 us; no other fits"
    assert table([]) == ""


def test_layers_without_parameters_and_shapes_alone():
    assert explain(Activation("tanh"), (3, 4)).dtype == np.float64
    assert [job.kernel for job in explain(Activation("tanh"), np.ones((3, 4), np.float32)).jobs] == ["map"]


class Own(Layer):
    def output_shape(self, shape):
        return shape

    def evaluate(self, x):
        return x, None

    def mv(self, kept, directions):
        return directions["x"]

    def tmv(self, kept, v, wrt):
        return {"x": v}


@pytest.mark.parametrize("layer", [Own(), Network([Own()]), None, 3])
def test_layers_of_the_users_own_are_refused(layer):
    with pytest.raises(TypeError, match="expected a layer or network of fastlec's own"):
        explain(layer, (3, 4))
