# The lab's cluster as Terraform sees it: the built-in terraform_data runs the same commands as kind: command does, and needs no provider download.
variable "colour" { type = string }

resource "terraform_data" "cluster" {
  input = {
    python = "@@PYTHON@@"
    lab    = "@@LAB@@"
    colour = var.colour
  }

  provisioner "local-exec" {
    command     = "exec '${self.input.python}' -m bennu.lab.provision up --lab '${self.input.lab}' --colour '${self.input.colour}'"
    interpreter = ["/bin/sh", "-c"]
  }

  provisioner "local-exec" {
    when        = destroy
    command     = "exec '${self.input.python}' -m bennu.lab.provision down --lab '${self.input.lab}' --colour '${self.input.colour}'"
    interpreter = ["/bin/sh", "-c"]
  }
}

locals {
  facts = jsondecode(file("@@LAB@@/clusters/${terraform_data.cluster.output.colour}/outputs.json"))
}

output "api_server" { value = local.facts.api_server }
output "gateway_address" { value = local.facts.gateway_address }
output "gateway_port" { value = local.facts.gateway_port }
output "gateway_probe_port" { value = local.facts.gateway_probe_port }
output "lb_host" { value = local.facts.lb_host }
