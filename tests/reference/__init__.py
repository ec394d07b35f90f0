"""The stations of simlib as plain SimPy processes, one request at a time: the lanes are proved against them."""
