"""Terraform with the real AWS provider, on a copy of `terraform/`, so that no run leaves anything in the checkout.

The provider comes from where this machine's own configuration says, else from a mirror in one of the usual places, else
from the registry.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from parts.process import PARTS, REPO, PartMissing

SOURCES = REPO / "terraform"
MODULES = ["kinesis-forward", "kinesis-to-s3", "kinesis-to-es", "kinesis-to-fluent", "es-cleaner"]
INNER_MODULES = ["lambda-function", "kinesis-mapping"]
EXAMPLES = ["one-to-one", "one-to-many", "routing", "routing-cloudwatch-logs"]

# Where people keep mirrors of providers: a folder that has HOST/hashicorp/aws/VERSION below it.
MIRRORS = ["~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*"]


def _mirror():
    given = os.environ.get("BAIKONUR_TERRAFORM_MIRROR")
    for place in [given] if given else MIRRORS:
        place = Path(place).expanduser()
        for found in sorted(place.parent.glob(place.name)):
            if any(found.glob("*/hashicorp/aws/*")):
                return found
    return None


class Terraform:
    """The binary, its configuration, and a copy of the modules and examples in `folder`."""

    def __init__(self, folder):
        self.binary = shutil.which("terraform")
        if self.binary is None:
            raise PartMissing("terraform is not on the PATH; install Terraform 1.8 or later")
        self.folder = Path(folder)
        ignored = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*")
        self.sources = shutil.copytree(SOURCES, self.folder / "terraform", ignore=ignored)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))},
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        configuration = self._configuration()
        if configuration:
            self.environment["TF_CLI_CONFIG_FILE"] = str(configuration)
        # A probe: whether there is a provider at all. Its lock is copied to all others, so that they need not look again.
        probe = self.sources / "modules" / MODULES[0]
        result = self.run(probe, "init", check=False)
        if result.returncode != 0:
            raise PartMissing(f"terraform init finds no provider hashicorp/aws:\n{result.stderr}")
        self.lock = (probe / ".terraform.lock.hcl").read_bytes()

    def _configuration(self):
        own = os.environ.get("TF_CLI_CONFIG_FILE")
        if own and Path(own).exists():
            return own
        mirror = _mirror()
        if mirror:
            text = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
        else:
            cache = PARTS / "terraform-providers"
            cache.mkdir(parents=True, exist_ok=True)
            text = f'plugin_cache_dir = "{cache}"\n'
        configuration = self.folder / "terraform.rc"
        configuration.write_text(text)
        return configuration

    def init(self, root):
        (root / ".terraform.lock.hcl").write_bytes(self.lock)
        self.run(root, "init", "-lockfile=readonly")

    def run(self, root, command, *arguments, check=True, environment=None):
        """The finished process of a command in the folder `root`."""
        asks = command in ("init", "plan", "apply", "destroy")
        quietly = ["-input=false"] if asks else []
        plainly = ["-no-color"] if asks or command in ("validate", "test", "show") else []
        result = subprocess.run(
            [self.binary, command, *plainly, *quietly, *arguments], cwd=root, capture_output=True, text=True,
            env={**self.environment, **(environment or {})}, stdin=subprocess.DEVNULL,
        )
        if check and result.returncode != 0:
            raise AssertionError(
                f"terraform {command} in {root.name} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
            )
        return result


class Root:
    """A root module whose resources are made on a moto server."""

    def __init__(self, terraform, folder, moto, variables):
        self.terraform, self.folder = terraform, folder
        self.environment = {
            "AWS_ENDPOINT_URL": moto.endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": variables["region"],
        }
        (folder / "terraform.tfvars.json").write_text(json.dumps(variables))
        terraform.init(folder)

    def run(self, command, *arguments, **options):
        return self.terraform.run(self.folder, command, *arguments, environment=self.environment, **options)

    def apply(self):
        self.run("apply", "-auto-approve")
        return self

    def destroy(self):
        self.run("destroy", "-auto-approve")

    def outputs(self):
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json").stdout).items()}

    def plan(self):
        """What an apply would do now: the changes that are not none, by address."""
        self.run("plan", "-out=plan")
        changes = json.loads(self.run("show", "-json", "plan").stdout).get("resource_changes", [])
        return {
            change["address"]: change
            for change in changes
            if change["change"]["actions"] not in (["no-op"], ["read"]) or "previous_address" in change
        }

    def state(self):
        """Addresses of what there is."""
        return set(self.run("state", "list").stdout.split())
