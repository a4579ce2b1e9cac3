"""Machines for trials: this one, a Ray at an address, or a cluster started by `ray up`.

target              choose where a command runs
connect             connect to Ray; the lock between local sweeps
capacity            size of a cluster now and at most; trials at once
tasks               functions as Ray tasks
placement_groups    free the resources of dead trials
known_clusters      clusters that `ray up` started from here
provider            address of a head, from AWS or the cluster file
kuberay             size that a cluster on Kubernetes may reach
job_server          Ray's job API at a URL
ray_private         Ray's private parts
head                ssh commands and tunnels to a head
launcher            up, wait, status, ui, down
submit              run one command on a cluster
submission_checks   checks of data, storage and space file before that
bundle              copy of the working tree that is sent
jobs                submit, list, follow, stop jobs
"""
