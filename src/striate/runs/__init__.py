"""Run folders: the interface between training and everything that looks at it.

A run is a folder of plain documents, a weights file and its checkpoints. Training writes it; every
later command takes one, finished, running or crashed, and needs nothing else. Nothing here imports
torch.

    run.json             format version, name, state, parent of a fork, digests
    network.json         the network, on paper
    contract.json        what an image goes through before it, what its outputs mean
    recipe.json          everything the run was made with, resolved
    data.json            the split: sample ids and content hashes
    env.json             versions and devices
    plan.json            how the arithmetic is done; an input of the run, written before step 1
    history.jsonl        a line a step, validation or event
    results.json         the test figures
    model.safetensors    the weights chosen on the validation part
    checkpoints/STEP/    all that a resume needs
    figures/             pictures
    lock                 held by whoever is training
"""

from striate.runs.bundle import Bundle, BundleInfo, is_bundle, open_bundle
from striate.runs.folder import check_free, create, new_path, open, open_trained, watched_only
from striate.runs.run import OWN_LOOP, Run, RunInfo
from striate.runs.scalars import Scalar
from striate.runs.tensorboard import write_tensorboard

__all__ = [
    "OWN_LOOP",
    "Bundle",
    "BundleInfo",
    "Run",
    "RunInfo",
    "Scalar",
    "check_free",
    "create",
    "is_bundle",
    "new_path",
    "open",
    "open_bundle",
    "open_trained",
    "watched_only",
    "write_tensorboard",
]
