"""Runs one MONAI bundle in a process of its own: `python -m model_container.bundle_runner FOLDER TASK SETTINGS`.

A bundle's configuration is code. So it gets an environment without credentials, may open no connection, start no
program and write nowhere but in its folder for temporary files, and its weights are loaded as weights only. The
configuration is used unchanged, but for the settings (JSON: id in the configuration -> value) that the operator has
approved with it: its preprocessing, network and inferer (or detector) are built from it, and the inverse of its
preprocessing brings a segmentation back.

Standard input holds one JSON request per line, {"inputs": [files], "affine": 4x4 or null, "out": folder}; standard
output answers each with {"ok": true} or {"error": what}. Before the first request it says {"ok": true, "device": name}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from model_container.bundles import configuration

_FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "subprocess.Popen",
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty",
}  # fmt: skip
_CHANGES = {
    "open", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
}  # fmt: skip
_TEMPORARY = Path(tempfile.gettempdir()).resolve()  # asked now: the question itself opens a file


class Forbidden(PermissionError):
    """A bundle tried what it may not do."""


class Unusable(Exception):
    """The bundle cannot be loaded; the message says what is wrong with it, and no patient: nothing was read yet."""


def forbid(event: str, facts: tuple[Any, ...]) -> None:
    """An audit hook: no connection, no program, no change outside of the folder for temporary files."""
    if event in _FORBIDDEN:
        raise Forbidden(event)
    if event in _CHANGES and _is_change(event, facts) and not _is_temporary(facts[0]):
        raise Forbidden(f"{event} outside of {_TEMPORARY}")


def _is_change(event: str, facts: tuple[Any, ...]) -> bool:
    return event != "open" or bool(facts[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_temporary(place: Any) -> bool:
    if isinstance(place, int) or place in ("/dev/null", b"/dev/null"):
        return True
    return Path(os.fsdecode(place)).resolve().is_relative_to(_TEMPORARY)


def told(error: BaseException) -> str:
    """What a fault may say outside: what was forbidden, or the fault's kind; its text may hold content."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Forbidden):
            return f"it tried what a bundle may not do: {cause}"
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


@contextmanager
def step(what: str) -> Iterator[None]:
    """A step of loading: where it fails, the message names it."""
    try:
        yield
    except Unusable:
        raise
    except Exception as error:
        first: BaseException = error
        while first.__cause__ or first.__context__:  # MONAI wraps what went wrong
            first = first.__cause__ or first.__context__ or first
        plain = told(error) == type(error).__name__
        text = f"{type(first).__name__}: {' '.join(str(first).split())[:300]}" if plain else told(error)
        raise Unusable(f"{what} ({text})") from error


class Bundle:
    """A bundle whose network is loaded; torch and monai are imported here and nowhere else in the job."""

    def __init__(self, folder: Path, task: str, settings: dict[str, Any]) -> None:
        with step("torch, monai or nibabel is missing or broken"):
            import monai.apps.detection.networks.retinanet_network
            import monai.bundle
            import nibabel  # noqa: F401 - imported before the guard stands
            import torch

            from model_container.layers import stand_in_for_torchvision

            stand_in_for_torchvision()
        sys.addaudithook(forbid)
        self.torch, self.task = torch, task
        sys.path.insert(0, str(folder))  # bundles import their own scripts
        with step("its configuration cannot be read"):
            self.parser = monai.bundle.ConfigParser()
            self.parser.read_config(str(configuration(folder)))
        for name, value in {**settings, "bundle_root": str(folder)}.items():
            self.parser[name] = value
        with step("its device, preprocessing or network cannot be built"):
            self.device = self.parser.get_parsed_content("device")
            self.preprocessing = self.parser.get_parsed_content("preprocessing")
            self.network = self.parser.get_parsed_content("network")
        with step("its weights are no plain weights, and nothing else is loaded"):
            weights = torch.load(folder / "models" / "model.pt", map_location=self.device, weights_only=True)
        with step("its weights do not fit its network"):
            self.network.load_state_dict(weights.get("model", weights) if isinstance(weights, dict) else weights)
        self.network.eval()

    def run(self, inputs: list[Path], affine: Any, out: Path) -> None:
        """Writes out/shares.npy [class, column, row, slice], out/boxes.json (world coordinates, RAS, mm) or
        out/classes.json (probabilities of the classes, for each input)."""
        import numpy as np

        with self.torch.inference_mode(), self.torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            if self.task == "classification":
                found = [self._classes(self.preprocessing({"image": self._image(p, affine)})) for p in inputs]
                (out / "classes.json").write_text(json.dumps(found))
                return
            data = self.preprocessing({"image": self._image(inputs[0], affine)})
            if self.task == "detection":
                (out / "boxes.json").write_text(json.dumps(self._boxes(data["image"])))
            else:
                np.save(out / "shares.npy", self._shares(data))

    @staticmethod
    def _image(path: Path, affine: Any) -> str:
        """The file that the bundle's own loader reads: a picture as it is, a volume as NIfTI."""
        if path.suffix != ".npy":
            return str(path)
        import nibabel
        import numpy as np

        nibabel.save(nibabel.Nifti1Image(np.load(path), np.array(affine)), path.with_suffix(".nii.gz"))
        return str(path.with_suffix(".nii.gz"))

    def _predicted(self, data: dict[str, Any], wanted: tuple[str, ...]) -> tuple[dict[str, Any], set[str]]:
        """The network's answer after those steps of the bundle's postprocessing; and which of them there were."""
        inferer = self.parser.get_parsed_content("inferer")
        data["pred"] = inferer(data["image"][None].to(self.device), self.network)[0].float().cpu()
        done = set()
        for k, transform in enumerate(self.parser["postprocessing"]["transforms"]):
            kind = transform["_target_"].rsplit(".", 1)[-1]
            if kind in wanted:
                data = self.parser.get_parsed_content(f"postprocessing#transforms#{k}")(data)
                done.add(kind)
        return data, done

    def _shares(self, data: dict[str, Any]) -> Any:
        """Class probabilities in the volume's own voxels."""
        data, done = self._predicted(data, ("Activationsd", "Invertd"))
        if "Invertd" not in done:
            raise ValueError("the bundle's postprocessing does not undo its preprocessing (no Invertd)")
        return data["pred"].numpy()

    def _classes(self, data: dict[str, Any]) -> list[float]:
        data, done = self._predicted(data, ("Activationsd",))
        if "Activationsd" not in done:
            raise ValueError("the bundle's postprocessing gives no probabilities (no Activationsd)")
        return [float(share) for share in data["pred"].flatten()]

    def _boxes(self, image: Any) -> list[dict[str, Any]]:
        """Boxes as two corners in the world, with label and score."""
        import numpy as np

        self.parser.get_parsed_content("detector_ops")
        detector = self.parser.get_parsed_content("detector").eval()
        plain = image.as_tensor().to(self.device)
        large = any(size > limit for size, limit in zip(plain.shape[1:], self.parser["infer_patch_size"], strict=True))
        found = detector([plain], use_inferer=large)[0]
        affine = np.asarray(image.affine, dtype=float)
        boxes = []
        for box, label, score in zip(found["box"], found["label"], found["label_scores"], strict=True):
            corners = np.array(box.float().cpu()).reshape(2, 3)
            world = corners @ affine[:3, :3].T + affine[:3, 3]
            boxes.append({"corners": world.tolist(), "label": int(label), "score": float(score)})
        return boxes


def main() -> None:
    """Answers requests until standard input ends."""
    answers, folder, task = sys.stdout, Path(sys.argv[1]), sys.argv[2]

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    with redirect_stdout(sys.stderr):  # a bundle's prints are no answers
        try:
            bundle = Bundle(folder, task, json.loads(sys.argv[3]))
        except Unusable as error:
            answer(error=str(error))
            return
        answer(ok=True, device=bundle.device.type)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                bundle.run([Path(p) for p in request["inputs"]], request["affine"], Path(request["out"]))
                answer(ok=True)
            except Exception as error:  # the parent decides what a fault means
                answer(error=told(error))


if __name__ == "__main__":
    main()
