// Layers whose inner maps are far larger than the caches, a band of rows at a time: what one layer writes the
// next still finds in the cache, and the whole inner map never exists. Only in inference on the processor;
// elsewhere, in training and under a trace f sees all of x at once. A number of the result is computed from
// the same numbers in the same order either way.
#pragma once
#include <functional>

#include "engine/tensor.h"

namespace bp {

using Layers = std::function<Tensor(const Tensor&)>;

// f(x) for an f that treats every position of x [..,C] alone, as linear layers and norms do: f is given
// [rows,C]. `widest` is the number of elements that f's largest map has per position.
Tensor in_bands(const Tensor& x, i64 widest, const Layers& f);
bool comes_in_bands(const Tensor& x, i64 widest);  // whether it calls f more than once

// f(x) for x [N,H,W,C] and an f [n,h,W,C] -> [n,h/stride,W',C'] whose row i depends on rows
// [stride (i - 1), stride (i + 2)) of its input and takes rows outside of it for zeros: 3x3 convolutions with
// padding 1. stride divides H; with stride 1 one such layer, with more of them strides of 2. A dense one of
// stride 1 may be rounded otherwise in a band (conv2d's Winograd tiles begin at the image's corner). `widest`
// is the number of elements that f's largest map has per row of its input.
Tensor in_image_bands(const Tensor& x, i64 widest, i64 stride, const Layers& f);

}  // namespace bp
