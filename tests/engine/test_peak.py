"""What the fused VGG-16 takes at most, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from striate import engine, zoo

SCRIPT = """
import json, sys, torch
from pathlib import Path
from striate import engine, zoo
from striate.layers import build
net = build(zoo.network("vgg16")).eval()
x, run = torch.randn(4, 3, 224, 224), net
if sys.argv[1] == "fused":
    run = engine.accelerate(net, x, plan=json.loads(sys.argv[2]))
elif sys.argv[1] == "channels_last":
    run, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
with torch.inference_mode():
    for _ in range(3):
        run(x)
lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss begins with the parent's
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is in /proc")
def test_the_peak_is_at_most_a_quarter_above_torchs() -> None:
    def peak(which: str, algorithms: dict[str, str]) -> int:
        command = [sys.executable, "-c", SCRIPT, which, json.dumps(algorithms)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    plan = engine.plan(zoo.network("vgg16"), batch=4, rounds=3, cached=False)
    usual = {layer.name: "winograd_4x4" for layer in plan.layers[1:]}
    usual[plan.layers[0].name] = "packed"
    heaviest = {}  # that a plan can choose, whatever wins on this machine
    for layer in plan.layers:
        found = layer.candidates
        allowed = [n for n in found if engine.Limits().allow(found[n], found["default"])]
        heaviest[layer.name] = max(allowed, key=lambda name: found[name].workspace_bytes)
    eager, channels_last = peak("eager", {}), peak("channels_last", {})
    assert peak("fused", usual) <= 1.25 * min(eager, channels_last)
    assert peak("fused", heaviest) <= 1.25 * eager
