"""Container images without a registry: busybox, as a folder and as an OCI layout, and jobs that use it."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from tests.support.jobs import job

BUSYBOX = Path("/bin/busybox")
IMAGE = "acme/busybox:1.0"
WITH_BASH = "acme/bash:5"


def make_images(folder: Path) -> None:
    """Make both images in `folder`: `acme_busybox_1.0/` … for Charliecloud, `oci/…` for Podman."""
    _busybox(folder / "acme_busybox_1.0")
    _busybox(folder / "acme_bash_5")
    _add_bash(folder / "acme_bash_5")
    for name in ("acme_busybox_1.0", "acme_bash_5"):
        _oci_layout(folder / name, folder / "oci" / name)


def _busybox(image: Path) -> None:
    for name in ("bin", "etc", "opt/installed"):
        (image / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, image / "bin/busybox")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        link = image / "bin" / applet
        if applet != "busybox" and not link.is_symlink():
            link.symlink_to("busybox")
    (image / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    (image / "etc/group").write_text("root:x:0:\n")
    (image / "opt/installed/file").write_text("of the image\n")


def _add_bash(image: Path) -> None:
    """Copy this machine's bash and the libraries that it needs."""
    listed = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True).stdout
    for name in ("/bin/bash", *(word for word in listed.split() if word.startswith("/"))):
        target = image / name.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


def _oci_layout(image: Path, layout: Path) -> None:
    """Write a folder as an image in the form of the OCI image layout specification."""
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(media_type: str, content: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        media_type = f"application/vnd.oci.image.{media_type}"
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(image, arcname=".")
    layer = blob("layer.v1.tar", archive.getvalue())
    settings = {"Env": ["PATH=/bin"], "Entrypoint": ["/bin/false"], "WorkingDir": "/opt"}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [layer],
    }
    index = {"schemaVersion": 2, "manifests": [blob("manifest.v1+json", json.dumps(manifest).encode())]}
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def container_job(
    script: str,
    *,
    image: str = IMAGE,
    backend: str = "DOCKER",
    shell: str = "sh",
    files: dict[str, dict[str, Any]] | None = None,
    environment: dict[str, str] | None = None,
    container: dict[str, bool] | None = None,
    **changes: Any,
) -> Any:
    """Return a job that runs a shell script in an image; `files` are parameters, in order `$1`, `$2` …"""
    made = job(script, **changes)
    invocation = made["status"]["resolvedApplication"]["invocation"]
    tool = invocation["tool"]["tool"]["description"]
    tool["image"], tool["backend"] = image, backend
    names = list(files or {})
    invocation["invocation"] = [
        {"type": "word", "word": shell},
        {"type": "word", "word": "-c"},
        {"type": "var", "variableNames": ["script"]},
        {"type": "word", "word": "script"},
        *({"type": "var", "variableNames": [name]} for name in names),
    ]
    invocation["parameters"] += [{"type": "input_file", "name": name, "optional": True} for name in names]
    made["specification"]["parameters"] |= {
        name: {"type": "file", **value} for name, value in (files or {}).items()
    }
    invocation["environment"] = {
        name: {"type": "word", "word": value} for name, value in (environment or {}).items()
    }
    invocation["container"] = container
    return made
