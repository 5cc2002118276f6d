// The rungs of this ladder, a file each.
#pragma once
#include "kernels/kernels.h"

namespace bp::cuda::matmul_rungs {

bool takes_plain(const k::Matmul& p);       // product.h
bool takes_plain_f32(const k::Matmul& p);   // plain in f32
bool takes_plain_bf16(const k::Matmul& p);  // plain in bf16
bool takes_wgmma(const k::Matmul& p);       // plain in bf16, aligned rows, on Hopper

void naive(const k::Matmul& p);
void shared_tiles(const k::Matmul& p);
void register_tiles(const k::Matmul& p);
void tensor_cores(const k::Matmul& p);
void async_pipeline(const k::Matmul& p);
void wgmma(const k::Matmul& p);

}  // namespace bp::cuda::matmul_rungs
