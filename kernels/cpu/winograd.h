// Convolutions of 3 x 3 with stride 1 and padding 1 by Winograd's minimal filtering. Included inside the
// level's namespace.

// False, and nothing done, where p is not that or too small to gain. Neither that nor a number of y depends
// on the batch. Tiles are counted from an image's corner, so a part of an image alone may be rounded
// otherwise.
bool conv2d_winograd(const k::Conv2d& p);
