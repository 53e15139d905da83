"""Questions asked of a trained network, one file each: most are those of Zeiler & Fergus 2014."""
