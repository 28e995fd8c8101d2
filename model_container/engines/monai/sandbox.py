"""Runs one MONAI bundle in a process of its own.

`python -m model_container.engines.monai.sandbox FOLDER TASK SETTINGS`

A bundle's configuration is code. So it gets an environment without credentials, may open no connection, start no
program and write nowhere but in its folder for temporary files, and its weights are loaded as weights only. The
configuration is used unchanged, but for the settings (JSON: id in the configuration -> value) that the operator has
approved with it: its preprocessing, network and inferer (or detector) are built from it, and the inverse of its
preprocessing brings a segmentation back.

Standard input holds one JSON request per line: {"inputs": [files], "affine": 4x4, "targets": [channels], "out": folder,
"tell": whether faults may be told in full}. Standard output answers each with {"ok": true} or {"error": what}. Before
the first request it says {"ok": true, "device": name}.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from model_container.engines.engine import where
from model_container.engines.registry import NEEDED, configuration

_FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "subprocess.Popen",
    "socket.gethostbyname", "socket.gethostbyaddr", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "os.kill", "os.killpg",
}  # fmt: skip
_CHANGES = {  # event -> which of its facts are the places that it changes
    "open": (0,), "os.remove": (0,), "os.rename": (0, 1), "os.rmdir": (0,), "os.mkdir": (0,), "os.link": (0, 1),
    "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,), "os.chown": (0,), "os.utime": (0,), "os.setxattr": (0,),
    "sqlite3.connect": (0,),
}  # fmt: skip
_TEMPORARY = Path(tempfile.gettempdir()).resolve()  # asked now: the question itself opens a file


class Forbidden(PermissionError):
    """A bundle tried what it may not do."""


class Unusable(Exception):
    """The bundle cannot be loaded, or gives what nobody can use. The message says what is wrong with it, without
    content: it is ours, or nothing was read yet."""


def forbid(event: str, facts: tuple[Any, ...]) -> None:
    """An audit hook: no connection, no program, no change outside of the folder for temporary files."""
    if event in _FORBIDDEN:
        raise Forbidden(event)
    if event == "open" and _is_another_process(facts[0]):
        raise Forbidden("reading another process")
    if event not in _CHANGES or not _is_change(event, facts):
        return
    if not all(_is_temporary(facts[k]) for k in _CHANGES[event]):
        raise Forbidden(f"{event} outside of {_TEMPORARY}")


def _is_change(event: str, facts: tuple[Any, ...]) -> bool:
    return event != "open" or bool(facts[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


def _is_temporary(place: Any) -> bool:
    if isinstance(place, int) or place in ("/dev/null", b"/dev/null", ":memory:"):
        return True
    return Path(os.fsdecode(place)).resolve().is_relative_to(_TEMPORARY)


def _is_another_process(place: Any) -> bool:
    """The job's own process has credentials in its environment and its memory."""
    if isinstance(place, int) or not os.fsdecode(place).startswith("/proc/"):
        return False
    owner = os.fsdecode(place).split("/")[2]
    return owner.isdigit() and int(owner) != os.getpid()


def described(error: BaseException) -> str:
    """What a fault may say outside: our own words, what was forbidden, a package that is missing, or the fault's kind
    and the line of code where it arose; its text may hold content."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Forbidden):
            return f"it tried what a bundle may not do: {cause}"
        if isinstance(cause, Unusable):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    first = _first(error)
    return (
        str(first) if isinstance(first, ImportError) else f"{type(first).__name__} in {where(first, folders=1) or '?'}"
    )


def _first(error: BaseException) -> BaseException:
    """What went wrong first: MONAI wraps it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


@contextmanager
def step(what: str, tell: bool = True) -> Iterator[None]:
    """A step: where it fails, the message names it, and what the fault says unless that could hold content."""
    try:
        yield
    except Exception as error:
        first, said = _first(error), described(error)
        if tell and said.startswith(type(first).__name__):
            said = f"{type(first).__name__}: {' '.join(str(first).split())[:300]}"
        raise Unusable(f"{what} ({said})") from error


class Bundle:
    """A bundle whose network is loaded; torch and monai are imported here and nowhere else in the job."""

    tell = False  # whether faults may be told in full: no patient's volume is read

    def __init__(self, folder: Path, task: str, settings: dict[str, Any]) -> None:
        with step("torch, monai or nibabel is missing or broken"):
            import monai.apps.detection.networks.retinanet_network
            import monai.bundle
            import nibabel  # noqa: F401 - imported before the guard stands
            import torch

            from model_container.engines.monai.torchvision_shim import stand_in_for_torchvision

            stand_in_for_torchvision()
        sys.addaudithook(forbid)
        self.torch, self.task = torch, task
        sys.path.insert(0, str(folder))  # bundles import their own scripts
        with step("its configuration cannot be read"):
            self.parser = monai.bundle.ConfigParser()
            self.parser.read_config(str(configuration(folder)))
            if (folder / "configs" / "metadata.json").is_file():
                self.parser.read_meta(str(folder / "configs" / "metadata.json"))
        with step("its settings have no place in its configuration"):
            for name, value in {**settings, "bundle_root": str(folder)}.items():
                self.parser[name] = value
        if missing := [name for name in NEEDED[task] if name not in self.parser]:
            raise Unusable(f"its configuration has no {', '.join(missing)}")
        with step("its device, preprocessing or network cannot be built"):
            self.device = self.parser.get_parsed_content("device")
            self.preprocessing = self.parser.get_parsed_content("preprocessing")
            self.network = self.parser.get_parsed_content("network")
        self._load_weights(folder)
        if task == "detection":
            with step("its detector cannot be built"):
                self.detector = self.parser.get_parsed_content("detector").eval()
                if "detector_ops" in self.parser:
                    self.parser.get_parsed_content("detector_ops")
        else:
            with step("its inferer or postprocessing cannot be built"):
                self.inferer = self.parser.get_parsed_content("inferer")
                self.postprocessing = self._postprocessing()

    def _load_weights(self, folder: Path) -> None:
        with step("its loader names no file of weights"):
            path = self._weights(folder)
        if not path.is_file():
            raise Unusable(f"its weights are missing: models/{path.name}")
        with step("its weights are not plain weights, and nothing else is loaded"):
            weights = self.torch.load(path, map_location=self.device, weights_only=True)
        with step("its weights do not fit its network"):
            self.network.load_state_dict(weights.get("model", weights) if isinstance(weights, dict) else weights)
        self.network.eval()
        self.network.register_forward_hook(self._look_for_numbers)

    def _weights(self, folder: Path) -> Path:
        """The file that the bundle's own loader names among its models; model.pt where it names none."""
        for name, part in self._loaders():
            is_loader = isinstance(part, dict) and str(part.get("_target_")).endswith("CheckpointLoader")
            if is_loader and "load_path" in part:
                named = Path(self.parser.get_parsed_content(f"{name}#load_path")).resolve()
                if named.is_relative_to(folder / "models"):
                    return named
        return folder / "models" / "model.pt"

    def _loaders(self) -> Iterator[tuple[str, Any]]:
        yield from ((name, part) for name, part in self.parser.config.items())
        for name in ("handlers", "initialize"):
            listed = self.parser.config.get(name)
            yield from ((f"{name}#{k}", part) for k, part in enumerate(listed if isinstance(listed, list) else ()))

    def _look_for_numbers(self, _module: Any, _inputs: Any, output: Any) -> None:
        """A network that gives no numbers finds nothing, and nobody would know."""
        for one in output.values() if isinstance(output, dict) else (output,):
            for part in one if isinstance(one, list | tuple) else (one,):
                if self.torch.is_tensor(part) and self.torch.isnan(part).any():
                    raise Unusable("its network gives values that are not numbers")

    def _postprocessing(self) -> list[Any]:
        """Those steps of the bundle's postprocessing that make probabilities, and bring them back to the volume."""
        place = "postprocessing#transforms"
        while isinstance(found := self.parser[place], str) and found.startswith("@"):
            place = found[1:]
        if not isinstance(found, list):
            raise Unusable("its postprocessing is not a list of transforms")
        kinds = [str(one.get("_target_")).rsplit(".", 1)[-1] if isinstance(one, dict) else "" for one in found]
        wanted = {"Activationsd": "gives no probabilities"}
        if self.task == "segmentation":
            wanted["Invertd"] = "does not undo its preprocessing"
        for kind, why in wanted.items():
            if kind not in kinds:
                raise Unusable(f"its postprocessing {why} (no {kind})")
        built = [self.parser.get_parsed_content(f"{place}#{k}") for k, kind in enumerate(kinds) if kind in wanted]
        return [one for one in built if one is not None]  # None: disabled

    def run(self, inputs: list[Path], affine: Any, targets: list[int], out: Path) -> None:
        """Writes out/shares.npy, out/boxes.json (world coordinates, RAS, mm) or out/classes.json (probabilities of the
        classes, for each input). Shares [k, column, row, slice]: the probability of each target, and before them the
        highest of all other channels where a voxel can be but one thing (softmax)."""
        import numpy as np

        with self.torch.inference_mode(), self.torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            if self.task == "classification":
                found = [[float(s) for s in self._predicted(p, affine, None).flatten()] for p in inputs]
                (out / "classes.json").write_text(json.dumps(found))
            elif self.task == "detection":
                if max(targets) >= self.detector.num_classes:
                    raise Unusable(
                        f"it has {self.detector.num_classes} labels, from 0; the manifest names {max(targets)}"
                    )
                (out / "boxes.json").write_text(json.dumps(self._boxes(inputs[0], affine)))
            else:
                np.save(out / "shares.npy", self._predicted(inputs[0], affine, targets).numpy())

    def _prepared(self, path: Path, affine: Any) -> dict[str, Any]:
        """What the bundle makes of the file that its own loader reads: a picture as it is, a volume as NIfTI."""
        if path.suffix == ".npy":
            import nibabel
            import numpy as np

            nibabel.save(nibabel.Nifti1Image(np.load(path), np.array(affine)), path.with_suffix(".nii.gz"))
            path = path.with_suffix(".nii.gz")
        with step("its preprocessing fails", tell=self.tell):
            data: dict[str, Any] = self.preprocessing({"image": str(path)})
            return data

    def _predicted(self, path: Path, affine: Any, targets: list[int] | None) -> Any:
        """The network's probabilities, in the volume's own voxels where `targets` names the channels of a volume."""
        data = self._prepared(path, affine)
        with step("its network or inferer fails", tell=self.tell):
            answer = self.inferer(data["image"][None].to(self.device), self.network)
            if not self.torch.is_tensor(answer):
                raise Unusable(f"it answers with a {type(answer).__name__} instead of one tensor")
            if targets is not None and answer.shape[2:] != data["image"].shape[1:]:
                raise Unusable("it answers with another size than it was given")
            data["pred"] = answer[0].float().cpu()
        with step("its postprocessing fails", tell=self.tell):
            for transform in self.postprocessing:
                data = transform(data)
                if hasattr(transform, "softmax"):
                    low, high = data["pred"].aminmax()
                    if low < -0.001 or high > 1.001:
                        raise Unusable("its values after Activationsd are not probabilities")
                    if targets is not None:
                        data["pred"] = self._rivals(data["pred"], targets, exclusive=transform.softmax[0])
        return data["pred"]

    def _rivals(self, shares: Any, targets: list[int], *, exclusive: bool) -> Any:
        """The targets alone, behind the strongest of all others where only one can be: a hundred organs in a whole body
        do not fit into memory at the volume's own resolution."""
        if len(shares) <= max(targets):
            raise Unusable(f"it has {len(shares)} channels, from 0; the manifest names {max(targets)}")
        if not exclusive:
            return shares[targets]
        if len(shares) == 1:
            raise Unusable("a softmax over one channel says the same everywhere")
        others = [k for k in range(len(shares)) if k not in targets]
        rest = shares[others].amax(0, keepdim=True) if others else 0 * shares[:1]
        return self.torch.cat((rest, shares[targets]))

    def _boxes(self, path: Path, affine: Any) -> list[dict[str, Any]]:
        """Boxes as two corners in the world, with label and score."""
        import numpy as np

        image, detector = self._prepared(path, affine)["image"], self.detector
        plain = image.as_tensor().to(self.device)
        limits = self.parser.get("infer_patch_size", None)
        large = limits is not None and any(size > most for size, most in zip(plain.shape[1:], limits, strict=True))
        with step("its detector fails", tell=self.tell):
            found = detector([plain], use_inferer=large)[0]
        names = (detector.target_box_key, detector.target_label_key, detector.pred_score_key)
        affine = np.asarray(image.affine, dtype=float)
        boxes = []
        for box, label, score in zip(*(found[name] for name in names), strict=True):
            corners = np.array(box.float().cpu()).reshape(2, 3)
            world = corners @ affine[:3, :3].T + affine[:3, 3]
            boxes.append({"corners": world.tolist(), "label": int(label), "score": float(score)})
        return boxes


def main() -> None:
    """Answers requests until standard input ends."""
    answers, folder, task = os.fdopen(os.dup(1), "w"), Path(sys.argv[1]), sys.argv[2]
    os.dup2(2, 1)  # what a bundle prints, or its libraries do, is no answer

    def answer(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    try:
        bundle = Bundle(folder, task, json.loads(sys.argv[3]))
    except Exception as error:  # whatever it is, the parent waits for an answer
        answer(error=described(error))
        return
    answer(ok=True, device=bundle.device.type)
    for line in sys.stdin:
        request = json.loads(line)
        bundle.tell = request["tell"]
        try:
            bundle.run(
                [Path(p) for p in request["inputs"]], request["affine"], request["targets"], Path(request["out"])
            )
            answer(ok=True)
        except Exception as error:  # the parent decides what a fault means
            answer(error=described(error))


if __name__ == "__main__":
    with suppress(OSError):  # where memory ends, this process goes and the job lives to tell it
        Path("/proc/self/oom_score_adj").write_text("1000")
    main()
