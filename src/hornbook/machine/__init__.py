"""What hornbook asks of the machine: load, memory, disk, worker processes, addresses, the hub."""
