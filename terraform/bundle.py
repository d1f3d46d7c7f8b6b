#!/usr/bin/env python3
"""Makes a bundle of a Lambda package: a zip file that Terraform can download from any URL, with a checksum, at `init`.

    terraform/bundle.py PACKAGE.zip BUNDLE.zip

Terraform downloads no files for a resource, but it downloads modules, unpacks them, and compares a checksum that stands
in their source. So the bundle is a module: the package, and an output that says where it is. The checksum is printed.
"""

import hashlib
import sys
import zipfile
from pathlib import Path

MODULE = """output "file" {
  description = "The package, for lambda_package_file."
  value       = "${path.module}/package.zip"
}
"""

# The same package gives the same bundle, and so the same checksum.
EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle(package, target):
    """Writes the bundle and returns its SHA-256."""
    content = Path(package).read_bytes()
    with zipfile.ZipFile(package) as archive:
        if "bootstrap" not in archive.namelist():
            raise SystemExit(f"{package} has no file bootstrap: it is not a package for provided.al2023")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo("package.zip", EPOCH), content)
        archive.writestr(zipfile.ZipInfo("main.tf", EPOCH), MODULE)
    return hashlib.sha256(Path(target).read_bytes()).hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    print(f"?checksum=sha256:{bundle(*sys.argv[1:])}")
