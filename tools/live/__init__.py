"""The product as a person runs it: its processes on free ports, and its REST interface, for the scripts beside this folder."""
