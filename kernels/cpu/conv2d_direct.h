// Convolutions that have too few channels for a product. Included inside the level's namespace.

// One output channel. False, and nothing done, where p is not that.
bool conv2d_direct(const k::Conv2d& p);
bool conv2d_direct(const k::Conv2dBackward& p);
