"""The stations of simlib as plain SimPy processes, one request at a time.  The compiled lanes are proved against them."""
