"""The Terraform provisioner on the real program, offline: its built-in ``terraform_data`` needs no provider."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bennu.adapters.terraform import TerraformConfig, TerraformProvisioner
from bennu.core.clusters import Colour, Group
from bennu.errors import DurableStateError, LockHeld, StoppedSafe, UsageError
from bennu.ports.provisioner import Order

PROGRAM = shutil.which("terraform") or shutil.which("tofu")
ROOT = """
variable "colour" { type = string }
variable "size" { type = number }
resource "terraform_data" "cluster" {
  input = { name = "cluster-${var.colour}", size = var.size }
}
output "name" { value = terraform_data.cluster.output.name }
output "size" { value = terraform_data.cluster.output.size }
output "admin_token" {
  value     = "s3cr3t"
  sensitive = true
}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if PROGRAM is None:
        pytest.skip("neither terraform nor tofu is installed")
    folder = tmp_path / "infra"
    folder.mkdir()
    (folder / "main.tf").write_text(ROOT)
    (tmp_path / "prod.tfvars").write_text("size = 3\n")
    return folder


@pytest.fixture
def terraform(root: Path) -> TerraformProvisioner:
    return TerraformProvisioner(TerraformConfig(root, "{env}-use1-{colour}", (root.parent / "prod.tfvars",)))


def states(root: Path) -> set[str]:
    return {path.parent.name for path in root.glob("terraform.tfstate.d/*/terraform.tfstate")}


def blue() -> Order:
    return Order(Group("prod", "us-east-1"), Colour.BLUE, "prod-us-east-1-7")


def test_a_cluster_is_made_read_and_destroyed_in_a_workspace_of_its_own(root: Path, terraform: TerraformProvisioner, order: Order, said: list[str]) -> None:
    assert terraform.outputs(order) is None
    made = terraform.up(order, said.append)
    assert made == {"name": "cluster-green", "size": "3"}  # the sensitive output is left out
    assert any("Apply complete" in line for line in said)
    terraform.up(blue(), said.append)
    assert terraform.outputs(order) == made
    assert states(root) == {"prod-use1-green", "prod-use1-blue"}
    terraform.down(order, said.append)
    assert states(root) == {"prod-use1-blue"}
    assert terraform.outputs(order) is None
    assert terraform.outputs(blue()) == {"name": "cluster-blue", "size": "3"}
    assert "s3cr3t" not in "\n".join(said)


def test_destroying_what_is_not_there_is_a_success(terraform: TerraformProvisioner, order: Order, said: list[str]) -> None:
    terraform.down(order, said.append)
    assert said[-1] == "there is no workspace prod-use1-green: nothing to destroy"


def test_an_apply_that_fails_half_way_keeps_its_state_and_goes_on_later(root: Path, terraform: TerraformProvisioner, order: Order, said: list[str]) -> None:
    (root / "more.tf").write_text(
        'resource "terraform_data" "second" {\n  depends_on = [terraform_data.cluster]\n  provisioner "local-exec" { command = "test -f ready" }\n}\n'
    )
    with pytest.raises(StoppedSafe, match=r"apply for cluster-green failed \(exit 1\)"):
        terraform.up(order, said.append)
    assert states(root) == {"prod-use1-green"}
    (root / "ready").touch()
    assert terraform.up(order, said.append)["name"] == "cluster-green"


def test_a_locked_state_names_who_holds_it_and_is_left_alone(root: Path, terraform: TerraformProvisioner, order: Order, said: list[str]) -> None:
    terraform.up(order, said.append)
    # The holder's apply waits at a named pipe until somebody writes to it.
    os.mkfifo(root / "gate")
    (root / "slow.tf").write_text('resource "terraform_data" "slow" {\n  provisioner "local-exec" { command = "cat gate" }\n}\n')
    env = {"PATH": os.environ["PATH"], "TF_WORKSPACE": "prod-use1-green", "HOME": str(root)}
    arguments = [str(PROGRAM), "apply", "-auto-approve", "-input=false", "-no-color", "-var=colour=green", "-var=size=3"]
    holder = subprocess.Popen(arguments, cwd=root, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert any("Creating..." in line for line in holder.stdout)
        (root / "slow.tf").rename(root / "slow.tf.off")
        with pytest.raises(LockHeld, match=r"somebody else holds the Terraform state \(ID [0-9a-f-]+, Who .+, Operation .+, Created .+\)") as caught:
            terraform.up(order, said.append)
        assert "never unlocks" in caught.value.next_step
    finally:
        (root / "gate").write_text("go\n")
        holder.communicate(timeout=30)


def test_a_state_that_was_never_saved_stops_everything(root: Path, terraform: TerraformProvisioner, order: Order, said: list[str]) -> None:
    (root / "errored.tfstate").write_text("{}")
    for ask in (lambda: terraform.up(order, said.append), lambda: terraform.down(order, said.append)):
        with pytest.raises(DurableStateError, match="could not save its state") as caught:
            ask()
        assert "state push" in caught.value.next_step


def test_a_workspace_that_all_colours_would_share_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match=r"lacks \{colour\}"):
        TerraformProvisioner(TerraformConfig(root, "production"))


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path, order: Order, said: list[str]) -> None:
    with pytest.raises(UsageError, match="no directory"):
        TerraformProvisioner(TerraformConfig(tmp_path / "gone", "x-{colour}")).up(order, said.append)
