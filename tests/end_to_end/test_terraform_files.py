"""What has to agree within `terraform/`, and can be seen without Terraform."""

from terraform_cli import INNER_MODULES, MODULES, SOURCES


def test_files_that_modules_share_are_the_same():
    of_streams = MODULES[:4]
    for name, modules in {
        "versions.tf": MODULES + INNER_MODULES,
        "function-variables.tf": MODULES,
        "mapping-variables.tf": of_streams,
        "shared.tf": of_streams,
        "outputs.tf": of_streams,
    }.items():
        first = SOURCES / "modules" / modules[0] / name
        for module in modules[1:]:
            copy = SOURCES / "modules" / module / name
            assert copy.read_text() == first.read_text(), f"{copy} differs from {first}: change the first, and copy it"


def test_readmes_say_every_input_and_output():
    for module in MODULES:
        folder = SOURCES / "modules" / module
        text = (folder / "README.md").read_text()
        for kind in ("variable", "output"):
            names = {
                line.split('"')[1] for path in folder.glob("*.tf") for line in path.read_text().splitlines()
                if line.startswith(f'{kind} "')
            }
            missing = sorted(name for name in names if f"| `{name}`" not in text)
            assert not missing, f"{folder.name}/README.md has no line for: {', '.join(missing)}"
