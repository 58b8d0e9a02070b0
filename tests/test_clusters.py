"""Sweeps that leave this process by submitit or Ray. Neither is needed for anything else; what is absent is skipped."""

import json
import os
import subprocess
import sys
import tempfile

import gate
import numpy as np
import pets
import pytest
import small  # noqa: F401  one thread

import resnet_dynamics as rd
from resnet_dynamics import datasets, recording

TINY = dict(width=4, batch_size=16, epochs=2, warmup=0.5)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_DYNAMICS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(gate.ROOT / "src"))
    return tmp_path / "cache" / "runs"


@pytest.fixture
def base(tmp_path):
    return rd.Config(data=datasets.images(pets.folder(tmp_path, 40, 10)).key, **TINY)


def alone(base, cache, **axes):
    """The table as it comes without help, from an empty cache."""
    for file in cache.glob("*.nc"):
        file.unlink()
    return rd.sweep(base, device="cpu", progress=False, **axes).drop_vars("seconds")


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # submitit leaves its processes to themselves
def test_submitit_on_this_machine(base, cache, tmp_path):
    """Six runs in two jobs of three, the way to SLURM but for sbatch."""
    submitit = pytest.importorskip("submitit", reason="submitit is not installed")
    executor = submitit.AutoExecutor(folder=tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=10)
    axes = dict(lr=[0.1, 0.2], seed=range(3))
    table = rd.sweep(base, executor=executor, runs_per_job=3, device="cpu", progress=False, **axes)
    assert len(list((tmp_path / "jobs").glob("*_result.pkl"))) == 2 and len(list(cache.glob("*.nc"))) == 6
    assert table.drop_vars("seconds").identical(alone(base, cache, **axes))


RAY = """
import json, sys, threading, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
import resnet_dynamics as rd
from resnet_dynamics import recording
from resnet_dynamics.workers import RayExecutor

place, fields, axes = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
node = dict(num_cpus=1, object_store_memory=10**8)
cluster = Cluster(initialize_head=True, head_node_args=node | {"include_dashboard": False})
second = cluster.add_node(**node)
ray.init(address=cluster.address, log_to_driver=False, logging_level="warning")
doomed = second.node_id

def begun(node):
    return (place / node).read_text().split() if (place / node).exists() else []

def noted(function, job):
    node = ray.get_runtime_context().get_node_id()
    with open(place / node, "a") as file:
        file.write(job.configs[0].digest + "\\n")
    while (len(begun(doomed)) < 3) != (node == doomed):  # its third run never ends; till then the other node waits
        time.sleep(0.05)
    return function(job)

def kill():
    while len(begun(doomed)) < 3:
        time.sleep(0.05)
    cluster.remove_node(second, allow_graceful=False)

class Noted(RayExecutor):
    def submit(self, function, job):
        return super().submit(noted, function, job)

threading.Thread(target=kill, daemon=True).start()
try:
    table = rd.sweep(rd.Config(**fields), executor=Noted(), device="cpu", progress=False, **axes)
    recording.save(table, place / "table.nc")
    while all(one["Alive"] for one in ray.nodes()):  # Ray notices after a while
        time.sleep(0.1)
    (place / "doomed.txt").write_text(doomed)
finally:
    ray.shutdown()
    cluster.shutdown()
"""


def test_ray_loses_a_node_on_the_way(base, cache, tmp_path):
    """24 runs on two nodes, one of which is killed at its third run: the table of one process, bit for bit."""
    pytest.importorskip("ray", reason="ray is not installed")
    axes, place = dict(lr=[0.1, 0.2, 0.4], momentum=[0.0, 0.9], seed=[0, 1, 2, 3]), tmp_path / "out"
    place.mkdir()
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as home:  # a short name: its sockets are there
        env = os.environ | {"HOME": home, "RAY_TMPDIR": home, "RAY_USAGE_STATS_ENABLED": "0"}
        env["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # then its nodes are at 127.0.0.1
        command = [sys.executable, "-c", RAY, place, json.dumps(base.changes), json.dumps(axes)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=570)
    assert done.returncode == 0, done.stderr
    doomed = (place / "doomed.txt").read_text()
    begun = {file.name: file.read_text().split() for file in place.iterdir() if not file.suffix}
    assert len(begun) == 2 and len(begun[doomed]) == 3
    assert {digest for digests in begun.values() for digest in digests} == {file.stem for file in cache.glob("*.nc")}
    (other,) = set(begun) - {doomed}
    assert begun[doomed][2] in begun[other] and len(begun[other]) == 22
    table = recording.read(place / "table.nc").drop_vars("seconds")
    assert table.digest.size == 24 and (table.failed == "").all()
    here = alone(base, cache, **axes)
    for name in here:
        assert np.array_equal(table[name].values, here[name].values), name
