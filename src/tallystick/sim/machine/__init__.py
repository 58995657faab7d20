"""What programs run on: virtual time, tasks, disks that forget what was not synced, a network that loses and repeats."""
