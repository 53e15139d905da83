"""The atlas: the strongest activations of every unit over a whole data set, projected, with statistics, in a folder."""
