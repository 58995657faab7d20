"""The wiring: settings, clock, ids, access, jobs, command line; the only place where pure meets edge."""
