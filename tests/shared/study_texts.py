"""Parts of a study file on the tiny network."""

STUDY = '[study]\nnetwork = "tiny.onnx"\ndata = "tiny.npz"\ndies = 3\nseed = 4\nquantities = ["accuracy"]\n'
ARRAY = '[hardware]\nmacro = "SwitchedCapacitor"\nrows = 16\ncolumns = 4\n'
NOISE = "[axes]\nmacro.comparator.noise = [1e-3, 8e-3]\n"
