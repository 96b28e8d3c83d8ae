"""The same, fast: the steps of `bptt` compiled with Numba. Nothing outside this folder imports numba."""
