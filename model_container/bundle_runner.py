"""Runs one MONAI bundle in a process of its own: `python -m model_container.bundle_runner FOLDER TASK`.

A bundle's configuration is code. So it gets an environment without credentials, may open no connection and start no
program, and its weights are loaded as weights only. The configuration is used unchanged: its preprocessing, network
and inferer (or detector) are built from it, and the inverse of its preprocessing brings the result back.

Standard input holds one JSON request per line, {"hu": file.npy, "affine": 4x4, "out": folder}; standard output answers
each with {"ok": true} or {"error": kind}.
"""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

_FORBIDDEN = {"socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"}


def forbid(event: str, _: tuple[Any, ...]) -> None:
    """An audit hook: no connection, no program."""
    if event in _FORBIDDEN:
        raise PermissionError(f"a bundle may not do this: {event}")


class Bundle:
    """A bundle whose network is loaded; torch and monai are imported here and nowhere else in the job."""

    def __init__(self, folder: Path, task: str) -> None:
        import torch
        from monai.bundle import ConfigParser

        self.torch, self.task = torch, task
        sys.path.insert(0, str(folder))  # bundles import their own scripts
        config = next(p for p in (folder / "configs").iterdir() if p.stem == "inference")
        self.parser = ConfigParser()
        self.parser.read_config(str(config))
        self.parser["bundle_root"] = str(folder)
        self.device = self.parser.get_parsed_content("device")
        self.preprocessing = self.parser.get_parsed_content("preprocessing")
        self.network = self.parser.get_parsed_content("network")
        weights = torch.load(folder / "models" / "model.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(weights.get("model", weights) if isinstance(weights, dict) else weights)
        self.network.eval()

    def run(self, hu: Path, affine: Any, out: Path) -> None:
        """Writes out/shares.npy [class, column, row, slice] or out/boxes.json (world coordinates, RAS, mm)."""
        import nibabel
        import numpy as np

        image = nibabel.Nifti1Image(np.load(hu), np.array(affine))
        nibabel.save(image, out / "image.nii.gz")
        data = self.preprocessing({"image": str(out / "image.nii.gz")})
        with self.torch.inference_mode(), self.torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            if self.task == "detection":
                (out / "boxes.json").write_text(json.dumps(self._boxes(data["image"])))
            else:
                np.save(out / "shares.npy", self._shares(data))

    def _shares(self, data: dict[str, Any]) -> Any:
        """Class probabilities in the volume's own voxels."""
        inferer = self.parser.get_parsed_content("inferer")
        data["pred"] = inferer(data["image"][None].to(self.device), self.network)[0].float().cpu()
        undone = False
        for k, transform in enumerate(self.parser["postprocessing"]["transforms"]):
            kind = transform["_target_"].rsplit(".", 1)[-1]
            if kind in ("Activationsd", "Invertd"):
                data = self.parser.get_parsed_content(f"postprocessing#transforms#{k}")(data)
                undone |= kind == "Invertd"
        if not undone:
            raise ValueError("the bundle's postprocessing does not undo its preprocessing (no Invertd)")
        return data["pred"].numpy()

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
    with redirect_stdout(sys.stderr):  # a bundle's prints are no answers
        bundle = Bundle(folder, task)
        sys.addaudithook(forbid)
        print(json.dumps({"ok": True, "device": bundle.device.type}), file=answers, flush=True)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                bundle.run(Path(request["hu"]), request["affine"], Path(request["out"]))
                answer: dict[str, Any] = {"ok": True}
            except Exception as error:  # the parent decides what a fault means; its text may hold content
                answer = {"error": type(error).__name__}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
